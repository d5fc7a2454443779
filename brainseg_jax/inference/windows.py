"""Windows over an image or volume: where they lie, and what each counts where they overlap.

They lie on a grid, so that what they count is a product over the axes. On each axis the
shares of all windows that cover a position sum to one; nothing is divided at the end.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

SIGMA = 1 / 8  # of the window's length, as nnU-Net has it


class Windows(NamedTuple):
    """How a volume is seen, part by part."""

    size: tuple[int, ...]
    overlap: float  # the least share of a window that its neighbour sees, too
    batch: int  # windows computed at a time, on all devices together
    fill: str  # what lies beyond the edge of a smaller volume: data.patches.cut

    def axes(self, shape: tuple[int, ...]) -> list["Axis"]:
        """Of a volume of this shape, one axis after the other."""
        return [
            make_axis(length, size, self.overlap)
            for length, size in zip(shape, self.size, strict=True)
        ]


class Axis(NamedTuple):
    """The windows on one axis: where each begins and what it counts at its positions."""

    starts: list[int]
    shares: Float32[np.ndarray, "k size"]


class Window(NamedTuple):
    """One window: its corner, and what it counts along each axis."""

    corner: tuple[int, ...]
    shares: tuple[Float32[np.ndarray, " size"], ...]


def make_axis(length: int, size: int, overlap: float) -> Axis:
    """Windows of `size` spread evenly over `length`; one that is longer lies around it."""
    if length <= size:
        starts = [-((size - length) // 2)]
    else:
        step = max(1, int(size * (1 - overlap)))
        count = math.ceil((length - size) / step) + 1
        starts = np.rint(np.linspace(0, length - size, count)).astype(int).tolist()
    weights = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / (SIGMA * size)) ** 2)
    total = np.zeros(max(length, size))
    for start in starts:
        total[max(start, 0) :][:size] += weights
    shares = [weights / total[max(start, 0) :][:size] for start in starts]
    return Axis(starts, np.array(shares, np.float32))


def grid(axes: list[Axis]) -> Iterator[Window]:
    """All windows, those that begin first on the first axis first."""
    parts = [list(zip(axis.starts, axis.shares, strict=True)) for axis in axes]
    for places in itertools.product(*parts):
        yield Window(*map(tuple, zip(*places, strict=True)))
