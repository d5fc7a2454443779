"""Scores of a whole data set from counts per slice: means over patients and slices.

Intervals resample patients, since slices of one head are not independent samples.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from brainseg_jax.metrics import overlap, resampling
from brainseg_jax.metrics.overlap import Counts

Values = Float[np.ndarray, " n"]
Owner = Int[np.ndarray, " n"]
Draws = Int[np.ndarray, "r p"]


class Difference(NamedTuple):
    """A mean difference and its interval."""

    mean: float
    low: float
    high: float


def bootstrap_interval(
    values: Values, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean; nan values are left out.

    nan of fewer than two: one value does not say how far values spread.
    """
    values = _known(values)
    if len(values) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    # In blocks, as 10,000 draws of 4,000 slices at once would take 300 MB.
    block = max(1, 2_000_000 // len(values))
    means = [
        values[rng.integers(len(values), size=(rows, len(values)))].mean(axis=1)
        for rows in _blocks(resamples, block)
    ]
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def paired_difference(
    a: Values, b: Values, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Difference:
    """The mean of a - b, patient by patient; pairs with a nan are left out.

    Raises:
        ValueError: if the two are not as many.
    """
    if len(a) != len(b):
        raise ValueError(
            f"{len(a)} and {len(b)} values make no pairs: score both models on the same "
            "patients, in the same order."
        )
    differences = np.asarray(a, float) - np.asarray(b, float)
    low, high = bootstrap_interval(
        differences, level=level, resamples=resamples, seed=seed
    )
    return Difference(_mean(differences), low, high)


def by_group(
    counts: Counts, groups: Sequence[Hashable]
) -> tuple[list[Hashable], Counts]:
    """The groups' names in order of appearance, and the sums of their members' counts.

    Patients' volumes from slices: the sums are 64-bit, so no volume is too large.

    Raises:
        ValueError: if there is not one group per slice.
    """
    if len(groups) != len(counts.true_positives):
        raise ValueError(
            f"{len(counts.true_positives)} slices, but {len(groups)} names of groups."
        )
    places = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    owner = np.array([places[name] for name in groups], int)

    def total(part: Int[np.ndarray, "n c"]) -> Int[np.ndarray, "g c"]:
        sums = np.zeros((len(places), part.shape[1]), np.int64)
        np.add.at(sums, owner, np.asarray(part))
        return sums

    return list(places), Counts(*map(total, counts))


def summarise(
    slices: Counts,
    patients: Sequence[Hashable],
    *,
    classes: Sequence[str],
    empty: str,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Every score by name: patient_dice, slice_dice_tumour, slice_detection_accuracy...

    `patients[i]` names the patient of slice i. With several classes each score comes as
    patient_dice_<class>, and under the plain name as the mean over classes; for
    patient_dice, its median and its interval that mean is taken patient by patient. The
    other intervals draw patients with all their slices.

    Raises:
        ValueError: if there is not one patient per slice, or `empty` is no policy.
    """
    names, volumes = by_group(slices, patients)
    dice = overlap.dice(volumes, empty=empty)
    interval = {"level": level, "resamples": resamples, "seed": seed}
    per_class = []
    for place in range(len(classes)):
        per_class.append(
            _spread(dice[:, place], **interval)
            | _patient_ratios(_of_class(volumes, place), empty)
            | _slice_scores(_of_class(slices, place), empty)
        )
    place_of = {name: place for place, name in enumerate(names)}
    owner = np.array([place_of[name] for name in patients], int)
    drawn = resampling.draws(len(names), resamples=resamples, seed=seed)
    means = [
        _drawn(_of_class(slices, k), _of_class(volumes, k), owner, drawn, empty)
        for k in range(len(classes))
    ]
    for scores, own in zip(per_class, means, strict=True):
        scores |= _ends(own, level)
    if len(classes) == 1:
        return per_class[0]
    overall = {
        name: _mean(np.array([scores[name] for scores in per_class]))
        for name in per_class[0]
    }
    overall |= _spread(np.array([_mean(row) for row in dice]), **interval)
    overall |= _ends(
        {
            name: _class_mean(np.stack([own[name] for own in means]))
            for name in means[0]
        },
        level,
    )
    for name, scores in zip(classes, per_class, strict=True):
        overall |= {f"{score}_{name}": value for score, value in scores.items()}
    return overall


def score_names(classes: Sequence[str]) -> tuple[str, ...]:
    """The names of all scores of a data set of these classes."""
    one = Counts(*(np.ones((1, len(classes)), int) for _ in Counts._fields))
    empty = next(iter(overlap.EMPTY))
    return tuple(summarise(one, ["patient"], classes=classes, empty=empty, resamples=1))


def _spread(dice: Values, **interval) -> dict[str, float]:
    low, high = bootstrap_interval(dice, **interval)
    known = _known(dice)
    return {
        "patient_dice": _mean(dice),
        "patient_dice_low": low,
        "patient_dice_high": high,
        "patient_dice_median": float(np.median(known)) if len(known) else math.nan,
    }


def _patient_ratios(volumes: Counts, empty: str) -> dict[str, float]:
    return {
        "patient_iou": _mean(overlap.iou(volumes, empty=empty)),
        "patient_precision": _mean(overlap.precision(volumes, empty=empty)),
        "patient_recall": _mean(overlap.recall(volumes, empty=empty)),
        "patient_specificity": _mean(overlap.specificity(volumes, empty=empty)),
        "patient_accuracy": _mean(overlap.accuracy(volumes)),
    }


def _slice_scores(slices: Counts, empty: str) -> dict[str, float]:
    """Overlap per slice, and whether any pixel is predicted where any is there."""
    dice = overlap.dice(slices, empty=empty)
    tumour = slices.true_positives + slices.false_negatives > 0
    found = slices.true_positives + slices.false_positives > 0
    return {
        "slice_dice": _mean(dice),
        "slice_dice_tumour": _mean(dice[tumour]),
        "slice_iou": _mean(overlap.iou(slices, empty=empty)),
        "slice_detection_accuracy": _share(found == tumour),
        "slice_detection_sensitivity": _share(found[tumour]),
        "slice_detection_specificity": _share(~found[~tumour]),
    }


def _drawn(
    slices: Counts, volumes: Counts, owner: Owner, drawn: Draws, empty: str
) -> dict[str, Values]:
    """Scores of a class in every draw of patients; `owner` numbers those of slices."""
    everybody = np.arange(drawn.shape[1])
    dice = overlap.dice(slices, empty=empty)
    tumour = slices.true_positives + slices.false_negatives > 0
    found = slices.true_positives + slices.false_positives > 0
    of_patients = {
        "patient_iou": overlap.iou(volumes, empty=empty),
        "patient_precision": overlap.precision(volumes, empty=empty),
        "patient_recall": overlap.recall(volumes, empty=empty),
    }
    of_slices = {
        "slice_dice": dice,
        "slice_dice_tumour": np.where(tumour, dice, math.nan),
        "slice_iou": overlap.iou(slices, empty=empty),
        "slice_detection_accuracy": (found == tumour).astype(float),
    }
    return {
        name: resampling.drawn_means(values, who, drawn)
        for group, who in ((of_patients, everybody), (of_slices, owner))
        for name, values in group.items()
    }


def _ends(means: Mapping[str, Values], level: float) -> dict[str, float]:
    """..._low and ..._high of each score from its drawn means."""
    ends = {name: resampling.interval(drawn, level) for name, drawn in means.items()}
    return {
        f"{name}_{end}": value
        for name, pair in ends.items()
        for end, value in zip(("low", "high"), pair, strict=True)
    }


def _class_mean(means: Float[np.ndarray, "k r"]) -> Values:
    """In every draw the mean over the classes that have the score."""
    known = ~np.isnan(means)
    count = known.sum(0)
    total = np.where(known, means, 0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def _of_class(counts: Counts, place: int) -> Counts:
    return Counts(*(np.asarray(part)[:, place] for part in counts))


def _known(values: Values) -> Values:
    values = np.asarray(values, float)
    return values[~np.isnan(values)]


def _mean(values: Values) -> float:
    """Mean of what is not nan, nan if there is nothing."""
    known = _known(values)
    return float(known.mean()) if len(known) else math.nan


def _share(found: Bool[np.ndarray, " n"]) -> float:
    """The share that is true, nan if there is nothing."""
    return float(found.mean()) if len(found) else math.nan


def _blocks(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]
