"""Dice of masks, by the label that a whole slice has: how well each kind is found.

Beside a mask that does not tell kinds apart it says of which kind tumours are missed.
Counts of several classes are added: a pixel of the wrong class is both a false positive and
a miss.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int

from brainseg_jax.metrics import decisions, overlap
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.overlap import Counts


def summarise(
    slices: Counts,
    labels: Int[np.ndarray, " n"],
    patients: Sequence[Hashable],
    *,
    names: Sequence[str],
    empty: str,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """patient_dice_of_<label> with its interval, and slice_dice_of_<label>, of every label.

    A patient's Dice is over its slices of that label; the interval resamples patients. nan
    where no slice has the label. `labels` are places in `names`.
    """
    pooled = Counts(*(np.asarray(part).sum(1, keepdims=True) for part in slices))
    summary: dict[str, float] = {}
    for place, name in enumerate(names):
        own, key = np.flatnonzero(labels == place), decisions.key_of(name)
        of_label = Counts(*(part[own] for part in pooled))
        _, volumes = scores.by_group(of_label, [patients[int(i)] for i in own])
        dice = overlap.dice(volumes, empty=empty)[:, 0]
        low, high = scores.bootstrap_interval(
            dice, level=level, resamples=resamples, seed=seed
        )
        summary |= {
            f"patient_dice_of_{key}": _mean(dice),
            f"patient_dice_of_{key}_low": low,
            f"patient_dice_of_{key}_high": high,
            f"slice_dice_of_{key}": _mean(overlap.dice(of_label, empty=empty)),
        }
    return summary


def score_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of all scores of slices with these labels."""
    one = Counts(*(np.ones((len(names), 1), int) for _ in Counts._fields))
    patients, labels = range(len(names)), np.arange(len(names))
    empty = next(iter(overlap.EMPTY))
    return tuple(
        summarise(one, labels, patients, names=names, empty=empty, resamples=1)
    )


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
