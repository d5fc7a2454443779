"""Pairs of pictures that look the same: counted in full, listed in part."""

import itertools

import numpy as np
import pytest

from brainseg_jax.data import likeness, twin_lists, twins
from brainseg_jax.data.twin_lists import Pair, Pictures
from brainseg_jax.data.twins import EXACT, NEAR


def pictures(hashes, patients, digests=None, rows=None):
    """Of hashes of one word; those of one hash are equal unless digests say otherwise."""
    return Pictures(
        [*range(len(hashes))] if rows is None else rows,
        [*patients],
        [str(one).encode() for one in digests or hashes],
        np.array(hashes, np.uint64)[:, None],
    )


def by_hand(first, second, most):
    """Every pair, one after the other."""
    exact, near = [], []
    for i, j in itertools.product(range(len(first.rows)), range(len(second.rows))):
        apart = int(np.bitwise_count(first.hashes[i] ^ second.hashes[j]).sum())
        if first.rows[i] == second.rows[j]:
            continue
        if first.digests[i] == second.digests[j]:
            exact.append(Pair(i, j, 0))
        elif apart <= most:
            near.append(Pair(i, j, apart))
    return exact, sorted(near, key=lambda pair: (pair.distance, pair))


def test_near_pairs_are_found_across_blocks_the_nearest_first(monkeypatch):
    monkeypatch.setattr(likeness, "BLOCK", 2)
    first = pictures([0, 255, 7, 15], "abcd")
    second = pictures([3, 15], "ef", rows=[10, 11])
    # 0 and 3 differ in 2 bits, 7 and 3 in 1, 7 and 15 in 1, 15 and 3 in 2, 15 and 15 in 0.
    found = twins.find(first, second, 2)
    assert found.exact == [(3, 1, 0)]
    assert found.near == [(2, 0, 1), (2, 1, 1), (0, 0, 2), (3, 0, 2)]
    assert found.tally[EXACT, False] == 1 and found.tally[NEAR, False] == 4


@pytest.mark.parametrize("seed", range(5))
def test_what_is_counted_and_listed_is_what_all_pairs_are(seed, monkeypatch):
    monkeypatch.setattr(likeness, "BLOCK", 3)
    rng = np.random.default_rng(seed)
    # Few hashes and digests: many pairs of each kind, and some examples in both splits.
    splits = []
    for start in (0, 10):
        hashes = rng.integers(0, 16, 20)
        digests = [f"{one} {rng.integers(2)}" for one in hashes]
        rows = [*range(start, start + 20)]
        splits.append(pictures(hashes, rng.choice([*"abcd"], 20), digests, rows))
    first, second = splits
    for place in range(10):  # rows 10 to 19 are in both
        for part in (first.patients, first.digests):
            source = second.patients if part is first.patients else second.digests
            part[10 + place] = source[place]
        first.hashes[10 + place] = second.hashes[place]
    exact, near = by_hand(first, second, 1)
    found = twins.find(first, second, 1)
    assert (found.exact, found.near) == (exact, near)
    assert found.with_twins == len({pair.second for pair in exact + near})
    for kind, pairs in ((EXACT, exact), (NEAR, near)):
        same = [first.patients[i] == second.patients[j] for i, j, _ in pairs]
        assert found.tally[kind, True] == sum(same)
        assert found.tally[kind, False] == len(same) - sum(same)


def test_of_many_equal_pictures_all_pairs_are_counted_and_few_are_listed():
    # 600 empty slices of 6 patients, 500 of 5 others and of the first; a tumour in each.
    first = pictures([0] * 600 + [255], [i % 6 for i in range(600)] + [0])
    second = pictures(
        [0] * 500 + [254], [i % 5 + 5 for i in range(500)] + [7], rows=range(1000, 1501)
    )
    found = twins.find(first, second, 2)
    # Patient 5 has 100 empty slices in each.
    assert found.tally[EXACT, True] == 100 * 100
    assert found.tally[EXACT, False] == 600 * 500 - 100 * 100
    assert (found.tally[NEAR, True], found.tally[NEAR, False]) == (0, 1)
    assert found.with_twins == 501
    assert found.near == [(600, 500, 1)]
    assert 100 < len(found.exact) <= 2 * twin_lists.OF_A_GROUP
    listed = {(first.patients[i], second.patients[j]) for i, j, _ in found.exact}
    assert (5, 5) in listed and len(listed) > 10


def test_no_more_than_so_many_pairs_of_a_kind_are_listed(monkeypatch):
    monkeypatch.setattr(twin_lists, "LISTED", 4)
    first = pictures([0, 1, 3, 7], "abcd")
    second = pictures([8, 9, 11, 15], "abcd", rows=range(4, 8))
    found = twins.find(first, second, 2)
    assert sum(found.tally.values()) == 8 + 2
    assert [pair.distance for pair in found.near] == [1, 1, 1, 1]
