"""Probabilities brought onto another grid over the same place, before they are decided.

Linearly along each axis, at the middles of voxels, and slab by slab: a plane of the new
grid is made once both old planes that it lies between are there.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int

Slab = tuple[int, Float32[np.ndarray, "depth *plane o"]]  # with its first plane


class Line(NamedTuple):
    """One axis of a new grid: the old places that each new one lies between."""

    below: Int[np.ndarray, " n"]
    above: Int[np.ndarray, " n"]
    share: Float32[np.ndarray, " n"]  # of the one above


class Grid(NamedTuple):
    """A grid over the same place as another, or over a box of it."""

    shape: tuple[int, ...]  # of all of the new grid
    box: tuple[slice, ...]  # of it, what `lines` are of; nothing lies around it
    lines: tuple[Line, ...]


def make_grid(
    old: Sequence[int], new: Sequence[int], box: Sequence[slice] | None = None
) -> Grid:
    """The grid `new` over all of the grid `old`, of which only `box` is known.

    A new voxel is within where the old one nearest to its middle is.
    """
    boxes, lines = [], []
    known = box or [slice(0, length) for length in old]
    for own, length, part in zip(old, new, known, strict=True):
        middles = (np.arange(length) + 0.5) * own / length
        within = np.flatnonzero(
            (part.start <= middles.astype(int)) & (middles.astype(int) < part.stop)
        )
        first = int(within[0]) if len(within) else 0
        boxes.append(slice(first, first + len(within)))
        places = middles[within] - 0.5 - part.start
        lines.append(_line(places, part.stop - part.start))
    return Grid(tuple(new), tuple(boxes), tuple(lines))


def regrid(slabs: Iterator[Slab], lines: Sequence[Line]) -> Iterator[Slab]:
    """Slabs of the new grid from those of the old, which come in order."""
    if all(map(_changes_nothing, lines)):
        yield from slabs
        return
    along, *across = lines
    done, last = 0, None
    for start, slab in slabs:
        planes = slab if last is None else np.concatenate([last, slab])
        first = start + len(slab) - len(planes)
        ready = int(np.searchsorted(along.above, start + len(slab)))
        if ready > done:
            new = slice(done, ready)
            mixed = _mix(planes, _moved(along, new, first), 0)
            for axis, line in enumerate(across, start=1):
                mixed = _mix(mixed, line, axis)
            yield done, mixed
            done = ready
        last = planes[-1:].copy()


def _line(places: np.ndarray, length: int) -> Line:
    """Of places in old voxels; what lies beyond the outermost middles is as they are."""
    held = np.clip(places, 0, length - 1)
    below = np.floor(held).astype(int)
    above = np.minimum(below + 1, length - 1)
    return Line(below, above, (held - below).astype(np.float32))


def _changes_nothing(line: Line) -> bool:
    same = np.array_equal(line.below, np.arange(len(line.below)))
    return same and not line.share.any()


def _moved(line: Line, part: slice, first: int) -> Line:
    return Line(line.below[part] - first, line.above[part] - first, line.share[part])


def _mix(
    values: Float32[np.ndarray, "..."], line: Line, axis: int
) -> Float32[np.ndarray, "..."]:
    spread = [1] * values.ndim
    spread[axis] = -1
    share = line.share.reshape(spread)
    low, high = values.take(line.below, axis), values.take(line.above, axis)
    return low + share * (high - low)
