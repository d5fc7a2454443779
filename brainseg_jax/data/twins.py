"""Pairs of pictures that are the same or alike: all are counted, and some are listed.

Many pictures may be one, as the empty slices of all heads are, and then their pairs are as
many as the square of theirs. So pictures of one hash are taken together: their pairs are
counted by multiplying, without one being made, and a few of them are listed.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from brainseg_jax.data import likeness

EXACT, NEAR = "exact", "near"
LISTED = 10_000  # pairs of a kind that are listed at most, the nearest first
OF_A_GROUP = 100  # of them of pictures that all have one hash, or one of two
EACH = 10  # pictures that stand for a larger group

Tally = dict[tuple[str, bool], int]  # (EXACT or NEAR, of one patient) -> pairs


class Pictures(NamedTuple):
    """Those of a split: rows of the data set's index, whose they are, what they hash to."""

    rows: list[int]
    patients: list[str]
    digests: list[bytes]
    hashes: UInt64[np.ndarray, "n words"]


class Pair(NamedTuple):
    """Places in two splits, and how many bits of their hashes differ."""

    first: int
    second: int
    distance: int


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
    nearest: list[
        tuple[int, int, int]
    ] = []  # distance, group of the first, of the second
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
        exact=_list_exact(first, second),
        near=_list_near(first, second, one, other, nearest),
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
    known: list[tuple[int, int, int]],
    apart: Int[np.ndarray, "g h"],
    close: Bool[np.ndarray, "g h"],
    start: int,
) -> list[tuple[int, int, int]]:
    """The nearest pairs of groups, of those known and of a block that begins at `start`."""
    rows, columns = np.nonzero(close)
    distance = apart[rows, columns]
    order = np.argsort(distance, kind="stable")[:LISTED]
    found = zip(
        distance[order].tolist(),
        (rows[order] + start).tolist(),
        columns[order].tolist(),
        strict=True,
    )
    return sorted([*known, *found])[:LISTED]


def _count_equal(first: Pictures, second: Pictures) -> tuple[int, int]:
    """Pairs of equal pixels, with what is in both splits; and those of one patient."""

    def count(ones: Sequence, others: Sequence) -> int:
        counted = Counter(others)
        return sum(number * counted[key] for key, number in Counter(ones).items())

    ones, others = (
        [*zip(part.digests, part.patients, strict=True)] for part in (first, second)
    )
    return count(first.digests, second.digests), count(ones, others)


def _list_exact(first: Pictures, second: Pictures) -> list[Pair]:
    """In the order of the splits."""
    places = [_places(pictures.digests) for pictures in (first, second)]
    found = [
        Pair(i, j, 0)
        for digest, ones in places[0].items()
        if digest in places[1]
        for i, j in _some(first, second, ones, places[1][digest])
        if first.rows[i] != second.rows[j]
    ]
    return _most_of_each(first, second, sorted(found))


def _list_near(
    first: Pictures,
    second: Pictures,
    one: Groups,
    other: Groups,
    nearest: Sequence[tuple[int, int, int]],
) -> list[Pair]:
    """Without those of equal pixels."""
    found = [
        Pair(i, j, distance)
        for distance, g, h in nearest
        for i, j in _some(first, second, one.members[g], other.members[h])
        if first.digests[i] != second.digests[j]
    ]
    return _most_of_each(first, second, sorted(found, key=lambda p: (p.distance, p)))


def _most_of_each(
    first: Pictures, second: Pictures, pairs: Sequence[Pair]
) -> list[Pair]:
    """At most LISTED of one patient and as many of two."""
    left = {True: LISTED, False: LISTED}
    kept = []
    for pair in pairs:
        same = first.patients[pair.first] == second.patients[pair.second]
        if left[same]:
            left[same] -= 1
            kept.append(pair)
    return kept


def _some(
    first: Pictures, second: Pictures, ones: Sequence[int], others: Sequence[int]
) -> Iterator[tuple[int, int]]:
    """All pairs of two groups, or of large ones some: of two patients and of one."""
    if len(ones) * len(others) <= OF_A_GROUP:
        yield from itertools.product(ones, others)
        return
    chosen = dict.fromkeys(
        itertools.product(_spread(first, ones), _spread(second, others))
    )
    mine, theirs = (
        _places([pictures.patients[place] for place in places], places)
        for pictures, places in ((first, ones), (second, others))
    )
    of_one_patient = itertools.chain.from_iterable(
        itertools.product(_spread(first, mine[name]), _spread(second, theirs[name]))
        for name in mine
        if name in theirs
    )
    yield from chosen | dict.fromkeys(itertools.islice(of_one_patient, OF_A_GROUP))


def _spread(pictures: Pictures, places: Sequence[int]) -> list[int]:
    """A few that stand for many: different ones first, then evenly over the split."""
    by_digest = _places([pictures.digests[place] for place in places], places)
    different = [own[0] for own in by_digest.values()]
    if len(different) < EACH:
        even = np.linspace(0, len(places) - 1, EACH).astype(int)
        different = [*dict.fromkeys([*different, *(places[i] for i in even)])]
    even = np.linspace(0, len(different) - 1, min(EACH, len(different))).astype(int)
    return [different[i] for i in even]


def _places(
    keys: Sequence, places: Sequence[int] | None = None
) -> Mapping[object, list[int]]:
    """Where each key is; `places` are what to call the places."""
    found: dict[object, list[int]] = defaultdict(list)
    for key, place in zip(
        keys, range(len(keys)) if places is None else places, strict=True
    ):
        found[key].append(place)
    return found
