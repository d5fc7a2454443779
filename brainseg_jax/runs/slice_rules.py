"""Chooses threshold and post-processing of a model of slices, by its validation split."""

import pathlib
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
from brainseg_jax.runs import mending, predictor, split_masks
from brainseg_jax.runs.restore import Restored


def choose(
    restored: Restored, source: Source, folder: pathlib.Path
) -> tuple[Rules, dict[str, Any]]:
    """The rules and what the card says of them; writes the sweep to `folder`.

    All rules are tried at the threshold of the highest Dice. Nothing is changed unless the
    mean Dice over patients rises.
    """
    about = restored.record.about
    usual, empty = (about.config["evaluation"][key] for key in ("threshold", "empty"))
    best, has_threshold = usual, not restored.parts.task.exclusive
    if has_threshold:
        found = sweep(restored, source, empty)
        best = found.best(usual)
        _write(found, folder, best=best, usual=usual, note=about.note)
    without, *_ = _dice(restored, source, [Rules()])
    tried = list(post_processing.slice_candidates())
    dice = _dice(mending.at_threshold(restored, best), source, tried)
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


def sweep(restored: Restored, source: Source, empty: str) -> Sweep:
    """Dice and IoU of patients at every threshold."""
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
    return threshold_sweep.sweep(tallies, empty=empty)


def _write(
    found: Sweep, folder: pathlib.Path, *, best: float, usual: float, note: str
) -> None:
    rows = [{**row, "note": note} for row in threshold_sweep.rows(found)]
    files.write_csv(folder / "thresholds.csv", rows)
    threshold_figure.threshold_curves(
        found,
        folder / "thresholds.png",
        best=best,
        usual=usual,
        title="Threshold, on the validation split",
        note=note,
    )


def _dice(restored: Restored, source: Source, tried: list[Rules]) -> list[float]:
    """Mean Dice over patients by each of the rules."""
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
    options = {
        "classes": tuple(source.info.classes),
        "empty": restored.record.about.config["evaluation"]["empty"],
        "resamples": 1,
    }
    joined = [
        Counts(*(np.concatenate(parts) for parts in zip(*own, strict=True)))
        for own in counted
    ]
    return [
        scores.summarise(one, source.patients, **options)["patient_dice"]
        for one in joined
    ]
