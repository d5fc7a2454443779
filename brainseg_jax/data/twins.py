"""Pairs of pictures that are the same or alike: all are counted, and some are listed.

Many pictures may be one, as the empty slices of all heads are, and then their pairs are as
many as the square of theirs. So pictures of one hash are taken together: their pairs are
counted by multiplying, without one being made; twin_lists.py lists a few of them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from brainseg_jax.data import likeness, twin_lists
from brainseg_jax.data.twin_lists import Nearest, Pair, Pictures

EXACT, NEAR = "exact", "near"

Tally = dict[tuple[str, bool], int]  # (EXACT or NEAR, of one patient) -> pairs


class Found(NamedTuple):
    """What two splits have in common; an example in both is no twin of itself."""

    tally: Tally
    with_twins: int  # examples of the second split
    exact: list[Pair]
    near: list[Pair]  # the nearest first


class Groups(NamedTuple):
    """Pictures by their hashes."""

    hashes: UInt64[np.ndarray, "g words"]
    of: Int[np.ndarray, " n"]  # which group each picture is of
    members: list[list[int]]
    sizes: Float[np.ndarray, " g"]
    by_patient: Float[np.ndarray, "g p"]  # of the patients that are asked for


def find(first: Pictures, second: Pictures, most: int = likeness.NEAR) -> Found:
    """Pairs of equal pixels, and others whose hashes differ in at most so many bits."""
    shared = sorted({*first.patients} & {*second.patients})
    one, other = (_group(pictures, shared) for pictures in (first, second))
    within, within_patient = 0, 0
    reached = np.zeros(len(other.hashes))  # pictures of the first split within reach
    nearest = Nearest()
    for start in range(0, len(one.hashes), likeness.BLOCK):
        block = slice(start, start + likeness.BLOCK)
        apart = likeness.distances(one.hashes[block], other.hashes)
        close = apart <= most
        of_second = one.sizes[block] @ close
        reached += of_second
        within += int(of_second @ other.sizes)
        within_patient += _of_one_patient(
            close, one.by_patient[block], other.by_patient
        )
        nearest = _nearest(nearest, apart, close, start)
    both = {*first.rows} & {*second.rows}
    equal, equal_patient = _count_equal(first, second)
    itself = np.array([row in both for row in second.rows])
    return Found(
        tally={
            (EXACT, True): equal_patient - len(both),
            (EXACT, False): equal - equal_patient,
            (NEAR, True): within_patient - equal_patient,
            (NEAR, False): within - within_patient - (equal - equal_patient),
        },
        with_twins=int((reached[other.of] > itself).sum()),
        exact=twin_lists.equal_pairs(first, second),
        near=twin_lists.near_pairs(first, second, one.members, other.members, nearest),
    )


def _group(pictures: Pictures, patients: Sequence[str]) -> Groups:
    hashes, of = np.unique(pictures.hashes, axis=0, return_inverse=True)
    of = of.reshape(-1)
    members: list[list[int]] = [[] for _ in hashes]
    by_patient = np.zeros((len(hashes), len(patients)), np.float32)
    column = {name: place for place, name in enumerate(patients)}
    for place, group in enumerate(of.tolist()):
        members[group].append(place)
        if (name := pictures.patients[place]) in column:
            by_patient[group, column[name]] += 1
    return Groups(
        hashes, of, members, np.array([*map(len, members)], float), by_patient
    )


def _of_one_patient(
    close: Bool[np.ndarray, "g h"],
    first: Float[np.ndarray, "g p"],
    second: Float[np.ndarray, "h p"],
) -> int:
    """Pairs within reach that are of one patient."""
    if not first.shape[1]:
        return 0
    return int((first @ second.T)[close].sum(dtype=float))


def _nearest(
    known: Nearest,
    apart: Int[np.ndarray, "g h"],
    close: Bool[np.ndarray, "g h"],
    start: int,
) -> Nearest:
    """The nearest pairs of groups, of those known and of a block that begins at `start`."""
    rows, columns = np.nonzero(close)
    distance = apart[rows, columns]
    order = np.argsort(distance, kind="stable")[: twin_lists.LISTED]
    found = zip(
        distance[order].tolist(),
        (rows[order] + start).tolist(),
        columns[order].tolist(),
        strict=True,
    )
    return sorted([*known, *found])[: twin_lists.LISTED]


def _count_equal(first: Pictures, second: Pictures) -> tuple[int, int]:
    """Pairs of equal pixels, with what is in both splits; and those of one patient."""

    def count(ones: Sequence, others: Sequence) -> int:
        counted = Counter(others)
        return sum(number * counted[key] for key, number in Counter(ones).items())

    ones, others = (
        [*zip(part.digests, part.patients, strict=True)] for part in (first, second)
    )
    return count(first.digests, second.digests), count(ones, others)
