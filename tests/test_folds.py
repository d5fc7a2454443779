"""Whole patients, balanced, stratified, the same every time (law 4)."""

import string
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.folds import Patient, assign_folds

COHORTS = st.dictionaries(
    st.text(string.ascii_letters, min_size=1, max_size=6),
    st.builds(Patient, st.sampled_from(["CS", "DU", "EZ", "HT"]), st.integers(0, 9999)),
    min_size=1,
    max_size=60,
)


@given(COHORTS, st.integers(1, 6), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_patient_gets_one_fold_and_folds_differ_by_at_most_one_per_stratum(
    cohort, folds, seed
):
    table = assign_folds(cohort, folds, seed)
    assert table.keys() == cohort.keys()
    sizes = Counter(table.values())
    assert set(sizes) == set(range(min(folds, len(cohort))))
    assert max(sizes.values()) - min(sizes.values()) <= 1


@given(COHORTS, st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_patients_are_listed_in_does_not_matter(cohort, random):
    shuffled = list(cohort.items())
    random.shuffle(shuffled)
    assert assign_folds(dict(shuffled)) == assign_folds(cohort)


@given(COHORTS)
@settings(max_examples=40, deadline=None)
def test_each_large_institution_is_spread_evenly(cohort):
    folds = min(5, len(cohort))
    table = assign_folds(cohort)
    for institution in {patient.stratum for patient in cohort.values()}:
        of_it = [name for name in cohort if cohort[name].stratum == institution]
        if len(of_it) >= folds:
            sizes = Counter(table[name] for name in of_it)
            assert max(sizes.values()) - min(sizes[k] for k in range(folds)) <= 1


def test_each_fold_gets_small_and_large_tumours():
    # Ten patients, volumes 0 to 9: the five smallest lie in five different folds.
    cohort = {f"p{volume}": Patient("DU", volume) for volume in range(10)}
    table = assign_folds(cohort)
    assert {table[f"p{volume}"] for volume in range(5)} == set(range(5))
    assert {table[f"p{volume}"] for volume in range(5, 10)} == set(range(5))


def test_another_seed_gives_another_division():
    cohort = {f"p{volume}": Patient("DU", volume) for volume in range(30)}
    assert assign_folds(cohort, seed=0) != assign_folds(cohort, seed=1)


def test_a_known_cohort_keeps_its_folds():
    """Results depend on this division: a change here is a change of every score."""
    cohort = {f"p{n}": Patient("DU" if n % 2 else "HT", n * n) for n in range(12)}
    table = assign_folds(cohort)
    assert [table[f"p{n}"] for n in range(12)] == [0, 2, 2, 4, 3, 3, 1, 0, 4, 1, 3, 4]


def test_no_patients_is_an_error():
    with pytest.raises(ValueError, match="no patients"):
        assign_folds({})
