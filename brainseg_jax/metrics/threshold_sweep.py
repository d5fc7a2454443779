"""Scores of masks at every threshold, from one look at their probabilities."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from brainseg_jax.metrics import overlap
from brainseg_jax.metrics.overlap import Counts

THRESHOLDS = np.arange(1, 100, dtype=np.float32) / 100

# How many positions lie between which two thresholds, where a class is not and where it is.
Tally = Int[np.ndarray, "c 2 b"]


class Sweep(NamedTuple):
    """Mean scores over patients at each threshold."""

    threshold: Float[np.ndarray, " t"]
    dice: Float[np.ndarray, " t"]
    iou: Float[np.ndarray, " t"]

    def best(self, usual: float) -> float:
        """Of the highest Dice; of several the nearest to what was used so far."""
        if np.isnan(self.dice).all():
            return usual
        highest = self.threshold[self.dice >= np.nanmax(self.dice) - 1e-12]
        return float(highest[np.argmin(abs(highest - usual))])


def tally(
    probability: Float[np.ndarray, "*space c"], truth: Bool[np.ndarray, "*space c"]
) -> Tally:
    """Of one example. A class is predicted above a threshold, as in training."""
    bins = len(THRESHOLDS) + 1
    above = np.searchsorted(THRESHOLDS, probability, side="left")
    return np.stack(
        [
            np.bincount(
                (above[..., k] + bins * truth[..., k]).reshape(-1), minlength=2 * bins
            ).reshape(2, bins)
            for k in range(truth.shape[-1])
        ]
    )


def sweep(tallies: Int[np.ndarray, "p c 2 b"], *, empty: str) -> Sweep:
    """Of patients' tallies: the mean over patients of the mean over their classes."""
    patients, classes = tallies.shape[:2]
    at_least = tallies[..., ::-1].cumsum(-1)[..., ::-1]
    none, there = at_least[..., 0, 1:], at_least[..., 1, 1:]  # predicted: [p c t]
    total = tallies.sum(-1)[..., None]
    parts = (there, none, total[..., 1, :] - there, total[..., 0, :] - none)
    counts = Counts(*(np.moveaxis(part, -1, 0).reshape(-1, classes) for part in parts))
    shape = (len(THRESHOLDS), patients, classes)
    dice, iou = (
        _mean(ratio(counts, empty=empty).reshape(shape))
        for ratio in (overlap.dice, overlap.iou)
    )
    return Sweep(THRESHOLDS.astype(float).round(2), dice, iou)


def rows(found: Sweep) -> list[dict[str, float]]:
    """A row per threshold."""
    names: Sequence[str] = found._fields
    return [
        {name: round(float(value), 6) for name, value in zip(names, own, strict=True)}
        for own in zip(*found, strict=True)
    ]


def _mean(values: Float[np.ndarray, "t p c"]) -> Float[np.ndarray, " t"]:
    """Over each patient's classes that have a score, then over patients that have."""
    for _ in range(2):
        known = ~np.isnan(values)
        count = known.sum(-1)
        total = np.where(known, values, 0).sum(-1)
        values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return values
