"""Dice of masks, by the label that a whole slice has: how well each kind is found.

A slice is scored by the mask's class of the same name as its label: its own class. Where
the mask has none of that name, the counts of all classes are added: a mask that does not
tell kinds apart is then scored as a whole, and in several classes a pixel of the wrong one
is both a false positive and a miss.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from brainseg_jax.metrics import decisions, overlap, resampling
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.overlap import Counts

OWN = "own_class"  # in the place of a label: all slices, each by its own class


def summarise(
    slices: Counts,
    labels: Int[np.ndarray, " n"],
    patients: Sequence[Hashable],
    *,
    names: Sequence[str],
    classes: Sequence[str],
    empty: str,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """patient_dice_of_<label> and slice_dice_of_<label>, each with ..._low and ..._high.

    A patient's Dice is over its slices of that label; intervals draw patients anew. nan
    where no slice has the label. `labels` are places in `names`; `classes` are the mask's.
    Where these tell labels apart, ..._of_own_class is of all slices.
    """
    options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    own = own_counts(slices, labels, names=names, classes=classes)
    members = {
        decisions.key_of(name): np.flatnonzero(labels == place)
        for place, name in enumerate(names)
    }
    if tells_apart(names, classes):
        members = {OWN: np.arange(len(labels)), **members}
    summary: dict[str, float] = {}
    for key, chosen in members.items():
        of_label = Counts(*(part[chosen] for part in own))
        whose = [patients[int(i)] for i in chosen]
        _, volumes = scores.by_group(of_label, whose)
        dice = overlap.dice(volumes, empty=empty)[:, 0]
        ends = scores.bootstrap_interval(dice, **options)
        summary |= _named(f"patient_dice_of_{key}", dice, ends)
        dice = overlap.dice(of_label, empty=empty)[:, 0]
        ends = _interval_of_slices(dice, whose, **options)
        summary |= _named(f"slice_dice_of_{key}", dice, ends)
    return summary


def own_counts(
    slices: Counts,
    labels: Int[np.ndarray, " n"],
    *,
    names: Sequence[str],
    classes: Sequence[str],
) -> Counts:
    """Counts [n, 1] of each slice's own class; of a label that is no class, of all."""
    place = np.array([[*classes].index(n) if n in classes else -1 for n in names])
    of_slice = place[labels]

    def chosen(part: Int[np.ndarray, "n c"]) -> Int[np.ndarray, "n 1"]:
        part = np.asarray(part)
        own = np.take_along_axis(part, np.maximum(of_slice, 0)[:, None], axis=1)
        return np.where(of_slice[:, None] >= 0, own, part.sum(1, keepdims=True))

    return Counts(*map(chosen, slices))


def tells_apart(names: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether the mask has several classes, and those of labels among them."""
    return len(classes) > 1 and bool({*names} & {*classes})


def score_names(names: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """The names of all scores of slices with these labels and masks of these classes."""
    one = Counts(*(np.ones((len(names), len(classes)), int) for _ in Counts._fields))
    return tuple(
        summarise(
            one,
            np.arange(len(names)),
            range(len(names)),
            names=names,
            classes=classes,
            empty=next(iter(overlap.EMPTY)),
            resamples=1,
        )
    )


def _interval_of_slices(
    dice: Float[np.ndarray, " n"],
    patients: Sequence[Hashable],
    *,
    level: float,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Of the mean over slices, where patients are drawn with all of theirs."""
    if np.isnan(dice).all():
        return math.nan, math.nan
    place = {name: i for i, name in enumerate(dict.fromkeys(patients))}
    owner = np.array([place[name] for name in patients])
    drawn = resampling.draws(len(place), resamples=resamples, seed=seed)
    return resampling.interval(resampling.drawn_means(dice, owner, drawn), level)


def _named(
    name: str, dice: Float[np.ndarray, " n"], ends: tuple[float, float]
) -> dict[str, float]:
    known = dice[~np.isnan(dice)]
    mean = float(known.mean()) if known.size else math.nan
    return {name: mean, f"{name}_low": ends[0], f"{name}_high": ends[1]}
