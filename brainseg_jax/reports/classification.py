"""Reports of classified slices: scores by slice and by patient, tables and figures."""

import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from brainseg_jax.data import sources
from brainseg_jax.data.info import Info
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import calibration
from brainseg_jax.metrics import classification as class_scores
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports.parts import (
    calibration_figure,
    class_failures,
    class_figures,
    class_tables,
    confident_slices,
    intervals,
    patient_bars,
    patient_scores,
    undefined,
)
from brainseg_jax.reports.parts.patient_scores import Scores
from brainseg_jax.tasks.parts.task import Task

Row = dict[str, Any]
Predict = Callable[[int], np.ndarray]
CURVES = {
    "patient_balanced_accuracy": "balanced accuracy\nof patients",
    # Where a patient's slices are of one class
    "patient_mean_probability_balanced_accuracy": "balanced accuracy\n"
    "by mean probability",
    "slice_auc": "ROC-AUC of slices",
    "patient_accuracy": "accuracy\nof patients",
    "slice_accuracy": "accuracy\nof slices",
}
FIGURES = {
    "confusion.png": "Confusion matrices: shares of each label, and counts.",
    "roc.png": "ROC curves, and the probability given to the true class.",
    "calibration.png": "How often predictions are right, by how sure they are.",
    "patients.png": "Accuracy of every patient, with its mean, 95 % interval and median.",
    "panels.png": "The surest right predictions and the surest errors.",
}
HEADS = {  # of confusion matrices
    "slice": "By slice",
    "patient": "By slice, weighed by patient",
    "patient_mean_probability": "By patient: mean probability",
}
UNDEFINED_BECAUSE = (
    "all its slices, or all slices of each patient, are of one class (for "
    "patient_mean_probability scores: of several classes; for those of a class: none is "
    "of it)"
)


def check_examples(
    training: sources.Source,
    validation: sources.Source | None,
    task: Task,
    metric: str,
) -> None:
    """Refuses training data of one class, and a metric that validation cannot define.

    Raises:
        ValueError: says which, and what to change.
    """
    check_classes(training, task)
    if validation is None:
        return
    right = Scored(np.zeros(len(validation)), perfect(validation, task))
    known = summarise(right, validation, task, "", resamples=1)
    undefined.require_defined(metric, known, UNDEFINED_BECAUSE)


def check_classes(training: sources.Source, task: Task) -> None:
    """Raises ValueError for training data of one class."""
    there = sorted({task.classes[label] for label in training.labels.tolist()})
    if len(there) < 2:
        raise ValueError(
            f"All training examples are of one class, {there[0]!r}: a classifier needs "
            "two. Set config.data.only_tumour=False, or name other folds in "
            "config.data.train."
        )


def perfect(source: sources.Source, task: Task) -> Decided:
    """Predictions that are all right and sure."""
    return Decided(
        np.eye(len(task.classes))[source.labels], source.labels, source.labels
    )


def score_names(task: Task, info: Info) -> tuple[str, ...]:
    """What can be in a summary, but for the loss."""
    return class_scores.score_names(task.classes)


def summarise(
    scored: Scored,
    source: sources.Source,
    task: Task,
    empty: str,
    resamples: int = 10_000,
) -> dict[str, float]:
    summary = class_scores.summarise(
        scored.measured,
        source.patients,
        classes=task.classes,
        decide=task.predict,
        resamples=resamples,
    )
    return {"loss": float(scored.loss.mean(dtype=float)), **summary}


def policies(options: Mapping[str, Any]) -> Row:
    """How the scores were computed."""
    return {
        "threshold": options["threshold"],
        "undefined": class_scores.UNDEFINED,
        "mirrored": options["mirror"],
    }


def tables(
    scored: Scored, source: sources.Source, task: Task, empty: str
) -> dict[str, list[Row]]:
    """Rows by file name."""
    return {
        "metrics.csv": class_tables.by_slice(scored, source, task),
        "patients.csv": class_tables.by_patient(scored.measured, source, task),
        "confusion.csv": class_tables.confusion(scored.measured, source, task),
    }


def failures(
    tables: Mapping[str, list[Row]], source: sources.Source, task: Task
) -> dict[str, list[Row]]:
    """The worst patients, as failures.csv has them."""
    return {"failures.csv": class_failures.rows_of(tables["metrics.csv"])}


def scores_of_patients(tables: Mapping[str, list[Row]], info: Info) -> Scores:
    """By name, from tables as they were written: the accuracy first."""
    return patient_scores.of_classes(tables["patients.csv"])


def draw(
    task: Task,
    source: sources.Source,
    scored: Scored,
    rows: dict[str, list[Row]],
    folder: pathlib.Path,
    *,
    predict: Predict,
    note: str,
    title: str,
) -> None:
    """Confusion matrices, ROC and reliability curves, accuracy per patient, panels."""
    decided = scored.measured
    matrices = class_tables.matrices(decided, source, task)
    class_figures.confusion_matrices(
        {HEADS[by]: matrix for by, matrix in matrices.items()},
        task.classes,
        folder / "confusion.png",
        title=title,
        note=note,
    )
    class_figures.roc_curves(
        decided, task.classes, folder / "roc.png", title=title, note=note
    )
    calibration_figure.reliability_curves(
        {"as predicted": calibration.reliability(decided)},
        folder / "calibration.png",
        title=f"{title}: calibration",
        note=note,
    )
    own = [row["accuracy"] for row in rows["patients.csv"]]
    patient_bars.patient_bars(
        [row["patient"] for row in rows["patients.csv"]],
        own,
        folder / "patients.png",
        interval=scores.bootstrap_interval(np.array(own)),
        score="Accuracy",
        title=f"{title}: accuracy over each patient's slices",
        note=note,
    )
    class_figures.slice_panels(
        confident_slices.choose(decided, source, task),
        folder / "panels.png",
        title=title,
        note=note,
    )
    if failed := failures(rows, source, task)["failures.csv"]:
        places = [source.keys.index(row["surest"]) for row in failed]
        judged = confident_slices.judge(decided, source, task, places)
        class_figures.slice_panels(
            {class_failures.HEADING: judged},
            folder / "failures.png",
            title=title,
            note=note,
        )


def headline(summary: dict[str, float], about: Row) -> tuple[dict[str, str], str]:
    """The scores a reader asks for first, and what has to be said below them."""
    rows = {}
    patients, slices = about["patients"], about["slices"]
    whole = "of patients by mean probability"
    for name, key in (
        (f"accuracy, mean over {patients} patients", "patient_accuracy"),
        ("balanced accuracy, mean over patients", "patient_balanced_accuracy"),
        ("ROC-AUC, mean over patients", "patient_auc"),
        (f"accuracy {whole}", "patient_mean_probability_accuracy"),
        (
            f"balanced accuracy {whole}",
            "patient_mean_probability_balanced_accuracy",
        ),
        (f"ROC-AUC {whole}", "patient_mean_probability_auc"),
        (f"F1 {whole}, mean over classes", "patient_mean_probability_f1_macro"),
        (f"accuracy over {slices} slices", "slice_accuracy"),
        ("balanced accuracy over slices", "slice_balanced_accuracy"),
        ("ROC-AUC over slices", "slice_auc"),
        ("average precision over slices", "slice_average_precision"),
        ("expected calibration error over slices", "slice_ece"),
        ("Brier score over slices", "slice_brier"),
        ("sensitivity over slices", "slice_sensitivity"),
        ("specificity over slices", "slice_specificity"),
        ("F1 over slices, mean over classes", "slice_f1_macro"),
    ):
        if not math.isnan(summary.get(key, math.nan)):
            rows[name] = intervals.in_words(summary, key)
    return rows, "in brackets: 95 % interval, resampling patients"
