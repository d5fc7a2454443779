"""Reports of masks: overlap per slice and patient; best, median and worst in pictures."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Float

from brainseg_jax.data import sources
from brainseg_jax.data.info import Info
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import dice_by_label, pixel_calibration
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports.parts import (
    failure_panels,
    mask_failures,
    mask_headline,
    mask_panels,
    mask_tables,
    patient_bars,
    patient_dice,
    patient_panels,
    patient_scores,
    pixel_figure,
    undefined,
    volume_panels,
)
from brainseg_jax.reports.parts.patient_scores import Scores
from brainseg_jax.tasks.parts.task import Task

Row = dict[str, Any]
CURVES = {
    mask_headline.OWN_CLASS: "Dice of patients'\nown class",
    f"slice_dice_of_{dice_by_label.OWN}": "Dice of slices'\nown class",
    "patient_dice": "Dice",
    "patient_iou": "IoU",
}
FIGURES = {
    "patients.png": "Dice of every patient, with its mean, 95 % interval and median.",
    "panels.png": "The best, median and worst patient.",
    "calibration.png": "How often pixels are of a class, by its probability.",
    "planes.png": "The best, median and worst volume, in three planes.",
}
headline = mask_headline.headline


def check_examples(
    training: sources.Source,
    validation: sources.Source | None,
    task: Task,
    metric: str,
) -> None:
    """Refuses a metric that validation cannot define.

    Nothing else: slices with tumour, without, or both can be segmented.

    Raises:
        ValueError: says why it cannot, and what to change.
    """
    if validation is None:
        return
    right = Scored(np.zeros(len(validation)), perfect(validation))
    known = summarise(right, validation, task, "nan", resamples=1)
    undefined.require_defined(metric, known, undefined_because(validation))


def perfect(source: sources.Source) -> Counts:
    """Of a prediction that is all right, as if every class had one pixel where it is."""
    there, none = source.present.astype(int), np.zeros(source.present.shape, int)
    return Counts(there, none, none, np.ones_like(there))


def undefined_because(validation: sources.Source) -> str:
    """What a score of masks may lack, in words."""
    info = validation.info
    there = [
        n
        for n, own in zip(info.classes, validation.present.T, strict=True)
        if own.any()
    ]
    said = f"of the classes of its masks it has {', '.join(there) or 'none'}"
    if info.kinds:
        kinds = sorted({*validation.labels.tolist()})
        said += f", and slices of {', '.join(info.kinds[kind] for kind in kinds)}"
    return said


def score_names(task: Task, info: Info) -> tuple[str, ...]:
    """What can be in a summary, but for the loss."""
    known = scores.score_names(task.classes)
    if not info.kinds:
        return known
    return known + dice_by_label.score_names(info.kinds, task.classes)


def summarise(
    scored: Scored,
    source: sources.Source,
    task: Task,
    empty: str,
    resamples: int = 10_000,
) -> dict[str, float]:
    """Every score by name; Dice by kind where the data set's labels tell kinds apart."""
    loss = {"loss": float(scored.loss.mean(dtype=float))}
    summary = scores.summarise(
        scored.measured,
        source.patients,
        classes=task.classes,
        empty=empty,
        resamples=resamples,
    )
    if scored.pixels:
        summary |= pixel_calibration.summarise(
            scored.pixels.tallies, task.classes, resamples=resamples
        )
    if not (kinds := source.info.kinds):
        return loss | summary
    by_kind = dice_by_label.summarise(
        scored.measured,
        source.labels,
        source.patients,
        names=kinds,
        classes=task.classes,
        empty=empty,
        resamples=resamples,
    )
    return loss | summary | by_kind


def policies(options: Mapping[str, Any]) -> Row:
    """How the scores were computed."""
    return {
        "threshold": options["threshold"],
        "empty_masks": options["empty"],
        "mirrored": options["mirror"],
        "tversky": mask_tables.TVERSKY,
    }


def tables(
    scored: Scored, source: sources.Source, task: Task, empty: str
) -> dict[str, list[Row]]:
    """Rows by file name."""
    return {
        "metrics.csv": mask_tables.by_slice(scored, source, task.classes, empty),
        "patients.csv": mask_tables.by_patient(scored, source, task.classes, empty),
    }


def failures(
    tables: Mapping[str, list[Row]], source: sources.Source, task: Task
) -> dict[str, list[Row]]:
    """The worst patients, as failures.csv has them."""
    patients, each, _ = _dice_of_patients(tables, source, task)
    dice = dict(zip(patients, patient_bars.mean_of_each(each), strict=True))
    every = tables["patients.csv"]
    worst = mask_failures.worst(
        {name: dice[name] for name in mask_failures.wrong(every)}
    )
    rows = mask_failures.rows_of(worst, every, tables["metrics.csv"])
    return {"failures.csv": rows}


def scores_of_patients(tables: Mapping[str, list[Row]], info: Info) -> Scores:
    """By name, from tables as they were written: the mean Dice first."""
    return patient_scores.of_masks(tables["patients.csv"], info)


def draw(
    task: Task,
    source: sources.Source,
    scored: Scored,
    rows: dict[str, list[Row]],
    folder: pathlib.Path,
    *,
    predict: patient_panels.Predict,
    note: str,
    title: str,
) -> None:
    """Bars of every patient; best, median and worst in panels; errors of the worst."""
    patients, each, named = _dice_of_patients(rows, source, task)
    if scored.pixels:
        path = folder / "calibration.png"
        pixel_figure.of_classes(
            scored.pixels, task.classes, path, title=title, note=note
        )
    dice = patient_bars.mean_of_each(each)
    if np.isnan(dice).all():
        logging.warning("No patient has a score under this policy: nothing to draw.")
        return
    own = dice_by_label.tells_apart(source.info.kinds, task.classes)
    whose = "of each patient's own class" if own else "per patient"
    patient_bars.patient_bars(
        patients,
        each,
        folder / "patients.png",
        classes=named,
        interval=scores.bootstrap_interval(dice),
        title=f"{title}: Dice {whose}",
        note=note,
    )
    mask_panels.five_panels(
        patient_panels.choose(
            predict, source, scored, dict(zip(patients, dice, strict=True))
        ),
        folder / "panels.png",
        classes=source.info.classes,
        title=title,
        note=note,
    )
    if failed := failures(rows, source, task)["failures.csv"]:
        said, path = mask_failures.captions(failed), folder / "failures.png"
        failure_panels.draw(predict, source, scored, said, path, title=title, note=note)
    if source.info.dimensions == 3:
        volume_panels.three_planes(
            predict,
            source,
            _dice_of_volumes(rows["metrics.csv"]),
            folder / "planes.png",
            title=title,
            note=note,
        )


def _dice_of_patients(
    rows: Mapping[str, list[Row]], source: sources.Source, task: Task
) -> tuple[list[str], Float[np.ndarray, "p c"], list[str]]:
    """Patients, their Dice by colour, and what the colours are."""
    patients = list(dict.fromkeys(source.patients))
    each, named = patient_dice.table(
        rows["patients.csv"], patients, source.info.kinds, task.classes
    )
    return patients, each, named


def _dice_of_volumes(rows: list[Row]) -> dict[str, float]:
    """Of each by its key, the mean over its classes that have a score."""
    of_each: dict[str, list[float]] = {}
    for row in rows:
        of_each.setdefault(row["key"], []).append(row["dice"])
    return {
        key: float(np.nanmean(dice)) if np.isfinite(dice).any() else np.nan
        for key, dice in of_each.items()
    }
