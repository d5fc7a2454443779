"""How often each intensity occurs, of any dtype: percentiles and moments come from that."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

WIDEST = 2**20  # range of integers that are counted in a table


class Tally(NamedTuple):
    """Values in rising order and how often each occurs."""

    values: Float64[np.ndarray, " v"]
    counts: Int64[np.ndarray, " v"]


def tally(pixels: np.ndarray) -> Tally:
    """Of all of an array's pixels."""
    if np.issubdtype(pixels.dtype, np.integer):
        low, high = int(pixels.min()), int(pixels.max())
        if high - low < WIDEST:
            counts = np.bincount(pixels.reshape(-1).astype(np.int64) - low)
            found = np.flatnonzero(counts)
            return Tally((found + low).astype(float), counts[found])
    values, counts = np.unique(pixels, return_counts=True)
    return Tally(values.astype(float), counts)


def merge(parts: Iterable[Tally]) -> Tally:
    """The tally of all parts together."""
    parts = list(parts)
    values, place = np.unique(
        np.concatenate([one.values for one in parts]), return_inverse=True
    )
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, place, np.concatenate([one.counts for one in parts]))
    return Tally(values, counts)


def moments(one: Tally) -> tuple[float, float]:
    """Mean and variance."""
    values, counts = one
    mean = (counts * values).sum() / counts.sum()
    return mean, (counts * (values - mean) ** 2).sum() / counts.sum()


def percentile(one: Tally, q: float) -> float:
    """np.percentile(..., q) of the values counted, interpolated linearly."""
    cumulative = one.counts.cumsum()
    rank = q / 100 * (cumulative[-1] - 1)
    below, above = (
        one.values[np.searchsorted(cumulative, edge, side="right")]
        for edge in (np.floor(rank), np.ceil(rank))
    )
    return below + (rank - np.floor(rank)) * (above - below)
