"""Which pairs of pictures that look the same are listed, where all are too many."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64

LISTED = 10_000  # pairs of a kind that are listed at most, the nearest first
OF_A_GROUP = 100  # of them of pictures that all have one hash, or one of two
EACH = 10  # pictures that stand for a larger group

Nearest = list[
    tuple[int, int, int]
]  # distance, group of the first split, of the second


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


def equal_pairs(first: Pictures, second: Pictures) -> list[Pair]:
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


def near_pairs(
    first: Pictures,
    second: Pictures,
    ones: Sequence[Sequence[int]],
    others: Sequence[Sequence[int]],
    nearest: Nearest,
) -> list[Pair]:
    """Of the nearest groups, whose members these are; without those of equal pixels."""
    found = [
        Pair(i, j, distance)
        for distance, g, h in nearest
        for i, j in _some(first, second, ones[g], others[h])
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
