"""Chooses threshold and post-processing of models of slices, by their validation splits.

Of a cross-validation each model is asked of its own validation fold, and all are pooled.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.progress import track

from brainseg_jax import files
from brainseg_jax.data.sources import Source
from brainseg_jax.inference import looking, post_processing
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import overlap, threshold_sweep
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.metrics.threshold_sweep import Sweep
from brainseg_jax.reports.parts import threshold_figure
from brainseg_jax.runs import mending, out_of_fold, predictor, split_masks
from brainseg_jax.runs.out_of_fold import Fold
from brainseg_jax.runs.restore import Restored


def choose_of(
    folds: Sequence[Fold], folder: pathlib.Path
) -> tuple[Rules, dict[str, Any]]:
    """The rules and what the card says of them; writes the sweep to `folder`.

    All rules are tried at the threshold of the highest Dice. Nothing is changed unless the
    mean Dice over patients rises.
    """
    first = folds[0].restored
    about = first.record.about
    usual, empty = (about.config["evaluation"][key] for key in ("threshold", "empty"))
    best, has_threshold = usual, not first.parts.task.exclusive
    if has_threshold:
        found = sweep(folds, empty)
        best = found.best(usual)
        split = out_of_fold.splits_of(folds)
        _write(found, folder, split, best=best, usual=usual, note=about.note)
    without, *_ = _dice(folds, [Rules()])
    tried = list(post_processing.slice_candidates())
    dice = _dice([_at_threshold(fold, best) for fold in folds], tried)
    highest = int(np.nanargmax(dice)) if not np.isnan(dice).all() else 0
    raised = dice[highest] > without
    rules = tried[highest] if raised else Rules()
    kept = best if raised else usual
    of_threshold = {"threshold": kept, "threshold_without": usual}
    return rules, {
        **(of_threshold if has_threshold else {}),
        "tried": 1 + len(tried),
        "patient_dice_without": without,
        "patient_dice_with": dice[highest] if raised else without,
    }


def _at_threshold(fold: Fold, threshold: float) -> Fold:
    return fold._replace(restored=mending.at_threshold(fold.restored, threshold))


def sweep(folds: Sequence[Fold], empty: str) -> Sweep:
    """Dice and IoU of patients at every threshold, over the patients of all folds."""
    tallies = np.concatenate([_tallies(fold.restored, fold.source) for fold in folds])
    return threshold_sweep.sweep(tallies, empty=empty)


def _tallies(restored: Restored, source: Source) -> np.ndarray:
    """Of each patient of a split: see threshold_sweep.tally."""
    predict = predictor.make_predictor(restored)
    place = {name: i for i, name in enumerate(dict.fromkeys(source.patients))}
    members = source.info.members
    bins = len(threshold_sweep.THRESHOLDS) + 1
    tallies = np.zeros((len(place), len(members), 2, bins), np.int64)
    for index in track(range(len(source)), "thresholds", transient=True):
        image, mask = source.seen(index)
        probability = np.asarray(predict(image, source.scaling[index]))[0]
        truth = looking.where(mask, members)
        tallies[place[source.patients[index]]] += threshold_sweep.tally(
            probability, truth
        )
    return tallies


def _write(
    found: Sweep,
    folder: pathlib.Path,
    split: str,
    *,
    best: float,
    usual: float,
    note: str,
) -> None:
    rows = [{**row, "note": note} for row in threshold_sweep.rows(found)]
    files.write_csv(folder / "thresholds.csv", rows)
    threshold_figure.threshold_curves(
        found,
        folder / "thresholds.png",
        best=best,
        usual=usual,
        title=f"Threshold, on {split}",
        note=note,
    )


def _dice(folds: Sequence[Fold], tried: list[Rules]) -> list[float]:
    """Mean Dice over the patients of all folds by each of the rules."""
    first = folds[0]
    options = {
        "classes": tuple(first.source.info.classes),
        "empty": first.restored.record.about.config["evaluation"]["empty"],
        "resamples": 1,
    }
    patients = [patient for fold in folds for patient in fold.source.patients]
    counted = [_counts(fold.restored, fold.source, tried) for fold in folds]
    return [
        scores.summarise(_joined(of_folds), patients, **options)["patient_dice"]
        for of_folds in zip(*counted, strict=True)
    ]


def _joined(counted: Sequence[Counts]) -> Counts:
    return Counts(*(np.concatenate(parts) for parts in zip(*counted, strict=True)))


def _counts(restored: Restored, source: Source, tried: list[Rules]) -> list[Counts]:
    """Of a split's examples by each of the rules."""
    members = source.info.members
    counted: list[list[Counts]] = [[] for _ in tried]
    patients = track(
        split_masks.by_patient(restored, source),
        "trying",
        total=len(set(source.patients)),
        transient=True,
    )
    for predicted, true in patients:
        for own, rules in zip(counted, tried, strict=True):
            for labels, mask in zip(mending.mend(predicted, rules), true, strict=True):
                table = overlap.label_table(labels, mask)
                own.append(overlap.counts_of_labels(table, members))
    return [_joined(own) for own in counted]
