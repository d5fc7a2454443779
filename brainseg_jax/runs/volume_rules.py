"""Chooses post-processing of models of volumes, by their validation splits.

Of a cross-validation each model is asked of its own validation fold, and all are pooled.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.progress import track

from brainseg_jax.inference import post_processing
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import overlap
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.runs import predictor
from brainseg_jax.runs.out_of_fold import Fold


def choose_of(
    folds: Sequence[Fold], folder: pathlib.Path
) -> tuple[Rules, dict[str, Any]]:
    """The best of all rules, with the scores with and without; nothing is drawn."""
    del folder
    info = folds[0].source.info
    tried = list(post_processing.candidates(info.painting))
    counted = [
        _count(pair, tried, info.members) for fold in folds for pair in _labels(fold)
    ]
    patients = [patient for fold in folds for patient in fold.source.patients]
    options = {
        "classes": tuple(info.classes),
        "empty": folds[0].restored.record.about.config["evaluation"]["empty"],
    }
    dice = [
        _mean_dice([of_one[place] for of_one in counted], patients, **options)
        for place in range(len(tried))
    ]
    best = int(np.nanargmax(dice)) if not np.isnan(dice).all() else 0
    return tried[best], {
        "tried": len(tried),
        "patient_dice_without": dice[0],
        "patient_dice_with": dice[best],
    }


def _labels(fold: Fold) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Predicted and true labels of every volume."""
    label, source = predictor.make_labeller(fold.restored), fold.source
    shown = track(range(len(source)), "predicting", transient=True)
    for place in shown:
        image, mask = source.seen(place)
        yield label(image, source.scaling[place]), mask


def _count(
    pair: tuple[np.ndarray, np.ndarray],
    tried: Sequence[Rules],
    members: Sequence[Sequence[int]],
) -> list[Counts]:
    """One volume's counts by each of the rules."""
    labels, mask = pair
    found = (post_processing.apply(labels, rules) for rules in tried)
    tables = (overlap.label_table(one, mask) for one in found)
    return [overlap.counts_of_labels(table, members) for table in tables]


def _mean_dice(counted: Sequence[Counts], patients: Sequence[str], **options) -> float:
    joined = Counts(*(np.concatenate(parts) for parts in zip(*counted, strict=True)))
    return scores.summarise(joined, patients, resamples=1, **options)["patient_dice"]
