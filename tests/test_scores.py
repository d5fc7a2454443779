"""Patients' volumes, bootstrap intervals and summaries, by hand and against SciPy."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from brainseg_jax.metrics import overlap
from brainseg_jax.metrics import segmentation as scores


def make_counts(rows):
    """Counts of one class from rows of (tp, fp, fn, tn), one per slice."""
    return overlap.Counts(*np.array(rows).T[..., None])


# Two patients of two and four slices of 100 pixels.
PATIENTS = ["ann", "bob", "ann", "bob", "bob", "bob"]
SLICES = make_counts(
    [
        (10, 5, 5, 80),  # Dice 20/30, IoU 10/20
        (0, 0, 0, 100),  # nothing there, nothing found
        (30, 5, 5, 60),  # Dice 60/70, IoU 30/40
        (0, 4, 0, 96),  # an invented tumour
        (0, 0, 6, 94),  # a missed one
        (0, 0, 2, 98),  # another
    ]
)
# ann: tp 40, fp 10, fn 10, tn 140; bob: tp 0, fp 4, fn 8, tn 388


ONE_CLASS = {"classes": ["tumour"], "empty": "one"}


def test_a_patients_volume_is_the_sum_of_its_slices():
    names, volumes = scores.by_group(SLICES, PATIENTS)
    assert names == ["ann", "bob"]
    assert np.stack(volumes)[..., 0].T.tolist() == [[40, 10, 10, 140], [0, 4, 8, 388]]


def test_sums_over_groups_do_not_overflow():
    slices = overlap.Counts(*(np.full((3, 1), 2**30, np.int32) for _ in range(4)))
    _, volumes = scores.by_group(slices, ["ann"] * 3)
    assert volumes.true_positives.item() == 3 * 2**30


@given(
    arrays.arrays(np.int32, (6, 2), elements=st.integers(0, 1000)),
    st.lists(st.sampled_from("abc"), min_size=6, max_size=6),
)
def test_groups_keep_the_total(part, groups):
    names, sums = scores.by_group(overlap.Counts(part, part, part, part), groups)
    assert set(names) == set(groups) and len(names) == len(set(groups))
    for total in sums:
        np.testing.assert_array_equal(total.sum(0), part.sum(0))


def test_no_slices_have_no_score():
    found = scores.summarise(make_counts(np.zeros((0, 4), int)), [], **ONE_CLASS)
    assert np.isnan([*found.values()]).all()


def test_groups_that_do_not_match_the_slices_are_refused():
    with pytest.raises(ValueError, match="6 slices, but 4 names"):
        scores.by_group(SLICES, PATIENTS[:4])


def test_summary_of_one_class_worked_out_by_hand():
    found = scores.summarise(SLICES, PATIENTS, classes=["tumour"], empty="one")
    expected = {
        "patient_dice": (80 / 100 + 0) / 2,
        "patient_dice_median": 0.4,
        # Two patients drawn with return: 0, 0.4 and 0.8 with chances 1/4, 1/2, 1/4.
        "patient_dice_low": 0.0,
        "patient_dice_high": 0.8,
        "patient_iou": (40 / 60 + 0) / 2,
        "patient_precision": (40 / 50 + 0 / 4) / 2,
        "patient_recall": (40 / 50 + 0 / 8) / 2,
        "patient_specificity": (140 / 150 + 388 / 392) / 2,
        "patient_accuracy": (180 / 200 + 388 / 400) / 2,
        "slice_dice": (2 / 3 + 1 + 6 / 7) / 6,
        "slice_dice_tumour": (2 / 3 + 6 / 7) / 4,
        "slice_iou": (1 / 2 + 1 + 3 / 4) / 6,
        "slice_detection_accuracy": 3 / 6,
        "slice_detection_sensitivity": 2 / 4,
        "slice_detection_specificity": 1 / 2,
    }
    ends = {  # of bob alone and of ann alone, each with all slices: drawn twice
        "patient_iou": (0, 40 / 60),
        "patient_precision": (0, 40 / 50),
        "patient_recall": (0, 40 / 50),
        "slice_dice": (1 / 4, (2 / 3 + 6 / 7) / 2),
        "slice_dice_tumour": (0, (2 / 3 + 6 / 7) / 2),
        "slice_iou": (1 / 4, (1 / 2 + 3 / 4) / 2),
        "slice_detection_accuracy": (1 / 4, 1),
    }
    for name, (low, high) in ends.items():
        expected |= {f"{name}_low": low, f"{name}_high": high}
    assert found == pytest.approx(expected, rel=1e-12)
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize(
    "policy, slice_dice",
    [
        ("one", (2 / 3 + 1 + 6 / 7) / 6),
        ("zero", (2 / 3 + 6 / 7) / 6),
        ("nan", (2 / 3 + 6 / 7) / 5),  # the empty slice is not counted
    ],
)
def test_the_empty_policy_reaches_the_means(policy, slice_dice):
    found = scores.summarise(SLICES, PATIENTS, classes=["tumour"], empty=policy)
    assert found["slice_dice"] == pytest.approx(slice_dice)
    assert found["slice_dice_tumour"] == pytest.approx((2 / 3 + 6 / 7) / 4)


def test_several_classes_come_by_name_and_as_their_mean():
    one = make_counts([(8, 2, 2, 88), (4, 1, 1, 94)])  # Dice 0.8 and 0.8
    other = make_counts([(5, 5, 5, 85), (0, 0, 0, 100)])  # Dice 0.5 and both empty
    slices = overlap.Counts(
        *(np.hstack(parts) for parts in zip(one, other, strict=True))
    )
    found = scores.summarise(
        slices, ["ann", "bob"], classes=["core", "rim"], empty="one"
    )
    alone = {
        "core": scores.summarise(one, ["ann", "bob"], classes=["core"], empty="one"),
        "rim": scores.summarise(other, ["ann", "bob"], classes=["rim"], empty="one"),
    }
    for name, summary in alone.items():
        assert {key: found[f"{key}_{name}"] for key in summary} == summary
    assert found["patient_dice"] == pytest.approx((0.8 + 0.75) / 2)
    # ann's mean over classes is 0.65, bob's 0.9.
    assert found["patient_dice_low"] == pytest.approx(0.65)
    assert found["patient_dice_high"] == pytest.approx(0.9)
    # ann's Dice of slices are 0.8 and 0.5, bob's 0.8 and 1: means 0.65 and 0.9.
    assert found["slice_dice_low"] == pytest.approx(0.65)
    assert found["slice_dice_high"] == pytest.approx(0.9)
    both = (alone["core"]["patient_iou"] + alone["rim"]["patient_iou"]) / 2
    assert found["patient_iou"] == pytest.approx(both)
    assert set(found) == {
        key + suffix for key in alone["rim"] for suffix in ("", "_core", "_rim")
    }


def test_without_any_tumour_what_cannot_be_known_is_nan():
    empty = make_counts([(0, 0, 0, 100)] * 2)
    found = scores.summarise(empty, ["ann", "bob"], classes=["tumour"], empty="nan")
    unknown = {name for name, value in found.items() if np.isnan(value)}
    assert unknown == set(found) - {
        "patient_accuracy",
        "patient_specificity",
        "slice_detection_accuracy",
        "slice_detection_accuracy_low",
        "slice_detection_accuracy_high",
        "slice_detection_specificity",
    }


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bootstrap_interval_agrees_with_scipy(level):
    values = np.random.default_rng(1).beta(5, 2, 40)
    found = scores.bootstrap_interval(values, level=level)
    expected = scipy.stats.bootstrap(
        [values],
        np.mean,
        confidence_level=level,
        n_resamples=10_000,
        method="percentile",
        rng=7,
    ).confidence_interval
    # Both are random; their quantiles spread by about 0.02 of the interval's width.
    np.testing.assert_allclose(found, expected, atol=0.05 * np.ptp(expected))


def test_bootstrap_interval_is_a_function_of_its_seed():
    values = np.arange(20.0)
    assert scores.bootstrap_interval(values) == scores.bootstrap_interval(values)
    assert scores.bootstrap_interval(values) != scores.bootstrap_interval(
        values, seed=1
    )


def test_drawing_in_blocks_makes_every_resample(monkeypatch):
    drawn = []
    quantile = np.quantile
    monkeypatch.setattr(
        np,
        "quantile",
        lambda means, at: drawn.append(len(means)) or quantile(means, at),
    )
    # 3,000 values fit 666 times into one block of two million: two blocks here.
    scores.bootstrap_interval(np.zeros(3000), resamples=700)
    assert drawn == [700]


def test_bootstrap_interval_leaves_nan_out():
    values = np.array([0.2, 0.9, 0.4, 0.7])
    with_nan = np.insert(values, 2, np.nan)
    assert scores.bootstrap_interval(with_nan) == scores.bootstrap_interval(values)


@pytest.mark.parametrize("values", [[np.nan], [0.7], [0.7, np.nan]])
def test_one_value_has_no_interval(values):
    assert np.isnan(scores.bootstrap_interval(np.array(values))).all()


def test_bootstrap_interval_of_equal_values_is_that_value():
    assert scores.bootstrap_interval(np.full(9, 0.5), resamples=50) == (0.5, 0.5)


def test_paired_difference_is_that_of_the_pairs():
    a = np.random.default_rng(2).random(30)
    # Equal steps: the pairs say so without doubt, whatever the spread of a.
    step = scores.paired_difference(a + 0.1, a)
    assert step == pytest.approx((0.1, 0.1, 0.1))
    b = np.random.default_rng(3).random(30)
    there, back = scores.paired_difference(a, b), scores.paired_difference(b, a)
    assert there.mean == pytest.approx(a.mean() - b.mean())
    assert there.low < there.mean < there.high
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_paired_difference_drops_pairs_with_a_nan():
    found = scores.paired_difference(
        np.array([1.0, np.nan, 3.0, 2.0]),
        np.array([0.0, 1.0, np.nan, 1.0]),
        resamples=10,
    )
    assert found == (1.0, 1.0, 1.0)


def test_pairs_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match="make no pairs"):
        scores.paired_difference(np.zeros(3), np.zeros(4))
