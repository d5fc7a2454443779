"""Reports of classified slices: scores by slice and by patient, tables and figures."""

import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from brainseg_jax.data import image_files, sources
from brainseg_jax.data.info import Info
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import classification as class_scores
from brainseg_jax.metrics import decisions
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports.parts import class_figures, patient_bars, undefined
from brainseg_jax.tasks.parts.task import Task

Row = dict[str, Any]
Predict = Callable[[int], np.ndarray]
CURVES = {
    "patient_balanced_accuracy": "balanced accuracy\nof patients",
    # Where a patient's slices are of one class
    "patient_vote_balanced_accuracy": "balanced accuracy\nof patients' votes",
    "slice_auc": "ROC-AUC of slices",
    "patient_accuracy": "accuracy\nof patients",
    "slice_accuracy": "accuracy\nof slices",
}
UNDEFINED_BECAUSE = (
    "all its slices, or all slices of each patient, are of one class (for patient_vote "
    "scores: of several classes; for those of a class: none is of it)"
)
PICTURED = 5  # slices in each row of panels.png


def check_examples(
    training: sources.Source, validation: sources.Source, task: Task, metric: str
) -> None:
    """Refuses training data of one class, and a metric that validation cannot define.

    Raises:
        ValueError: says which, and what to change.
    """
    check_classes(training, task)
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
        "metrics.csv": _slice_table(scored, source, task),
        "patients.csv": _patient_table(scored.measured, source, task),
        "confusion.csv": [
            {
                "by": by,
                "label": label,
                "predicted": predicted,
                "count": round(float(matrix[i, j]), 6),
                "share": round(float(matrix[i, j] / max(matrix[i].sum(), 1e-12)), 6)
                if matrix[i].any()
                else math.nan,
            }
            for by, matrix in _matrices(scored.measured, source, task).items()
            for i, label in enumerate(task.classes)
            for j, predicted in enumerate(task.classes)
        ],
    }


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
    """Confusion matrices, ROC curves, accuracy per patient, the most confident slices."""
    decided = scored.measured
    heads = {
        "slice": "By slice",
        "patient": "By slice, weighed by patient",
        "vote": "By patient: mean probability",
    }
    class_figures.confusion_matrices(
        {heads[by]: m for by, m in _matrices(decided, source, task).items()},
        task.classes,
        folder / "confusion.png",
        title=title,
        note=note,
    )
    class_figures.roc_curves(
        decided, task.classes, folder / "roc.png", title=title, note=note
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
        _most_confident(decided, source, task),
        folder / "panels.png",
        title=title,
        note=note,
    )


def headline(summary: dict[str, float], about: Row) -> tuple[dict[str, str], str]:
    """The scores a reader asks for first, and what has to be said below them."""
    rows = {}
    patients, slices = about["patients"], about["slices"]
    by_vote = "of patients by mean probability"
    for name, key in (
        (f"accuracy, mean over {patients} patients", "patient_accuracy"),
        ("balanced accuracy, mean over patients", "patient_balanced_accuracy"),
        ("ROC-AUC, mean over patients", "patient_auc"),
        (f"accuracy {by_vote}", "patient_vote_accuracy"),
        (f"balanced accuracy {by_vote}", "patient_vote_balanced_accuracy"),
        (f"ROC-AUC {by_vote}", "patient_vote_auc"),
        (f"F1 {by_vote}, mean over classes", "patient_vote_f1_macro"),
        (f"accuracy over {slices} slices", "slice_accuracy"),
        ("balanced accuracy over slices", "slice_balanced_accuracy"),
        ("ROC-AUC over slices", "slice_auc"),
        ("sensitivity over slices", "slice_sensitivity"),
        ("specificity over slices", "slice_specificity"),
        ("F1 over slices, mean over classes", "slice_f1_macro"),
    ):
        if not math.isnan(summary.get(key, math.nan)):
            low, high = summary[f"{key}_low"], summary[f"{key}_high"]
            rows[name] = f"{summary[key]:.3f} ({low:.3f} to {high:.3f})"
    return rows, "in brackets: 95 % interval, resampling patients"


def _matrices(decided: Decided, source: sources.Source, task: Task) -> dict[str, Any]:
    """Confusion matrices: of slices, of slices weighed by patient, and of patients.

    Patients are classified by the mean probability of their slices ("vote"), where every
    patient's slices have one label.
    """
    weights = class_scores.patient_weights(source.patients)
    matrices = {
        "slice": class_scores.confusion(decided),
        "patient": class_scores.confusion(decided, weights),
    }
    grouped = class_scores.by_patient(decided, source.patients)
    if grouped.have_one_label:
        votes = class_scores.vote(grouped, task.predict)
        matrices["vote"] = class_scores.confusion(votes)
    return matrices


def _slice_table(scored: Scored, source: sources.Source, task: Task) -> list[Row]:
    """A row per slice: its origin, label, prediction, probabilities and loss."""
    decided = scored.measured
    return [
        {
            "key": source.keys[i],
            "patient": source.patients[i],
            "slice": source.slices[i],
            "label": task.classes[decided.label[i]],
            "predicted": task.classes[decided.predicted[i]],
            **decisions.probability_columns(task.classes, decided.probability[i]),
            "loss": float(scored.loss[i]),
        }
        for i in range(len(source))
    ]


def _patient_table(decided: Decided, source: sources.Source, task: Task) -> list[Row]:
    """A row per patient: slices of each class, scores over them, and a prediction.

    The prediction ("vote") only where every patient's slices have one label; there balanced
    accuracy and ROC-AUC of a patient's own slices are not defined.
    """
    grouped = class_scores.by_patient(decided, source.patients)
    rows = [
        {
            "patient": name,
            "slices": len(own.label),
            **{
                f"slices_{decisions.key_of(one)}": int((own.label == k).sum())
                for k, one in enumerate(task.classes)
            },
            "accuracy": round(float(grouped.accuracy[i]), 6),
        }
        for i, (name, own) in enumerate(
            zip(grouped.names, grouped.decided, strict=True)
        )
    ]
    if not grouped.have_one_label:
        return [
            {
                **row,
                "balanced_accuracy": round(float(grouped.balanced_accuracy[i]), 6),
                "auc": round(float(grouped.auc[i]), 6),
            }
            for i, row in enumerate(rows)
        ]
    votes = class_scores.vote(grouped, task.predict)
    return [
        {
            **row,
            "label": task.classes[votes.label[i]],
            "vote": task.classes[votes.predicted[i]],
            **decisions.probability_columns(task.classes, votes.probability[i]),
        }
        for i, row in enumerate(rows)
    ]


def _most_confident(
    decided: Decided, source: sources.Source, task: Task
) -> dict[str, list[class_figures.Judged]]:
    """The slices predicted with the highest probability: correct ones, then errors."""
    right = decided.predicted == decided.label
    rows = {}
    for heading, members in (
        ("Most confident correct predictions of each class", np.flatnonzero(right)),
        ("Most confident errors in each class", np.flatnonzero(~right)),
    ):
        rows[heading] = [
            class_figures.Judged(
                image=_picture(source.read_stored(i)[0]),
                patient=source.patients[i],
                slice=source.slices[i],
                label=task.classes[decided.label[i]],
                predicted=task.classes[decided.predicted[i]],
                probability=float(decided.probability[i, decided.predicted[i]]),
            )
            for i in _varied(decided, source, members)[:PICTURED]
        ]
    return rows


def _varied(decided: Decided, source: sources.Source, members: np.ndarray) -> list[int]:
    """Most confident first, classes in turn, one slice of a class from each patient."""
    own = decided.probability[np.arange(len(source)), decided.predicted]
    queues: dict[int, list[int]] = {}
    seen = set()
    for i in sorted(members.tolist(), key=lambda i: -own[i]):
        label = int(decided.label[i])
        if (label, source.patients[i]) not in seen:
            seen.add((label, source.patients[i]))
            queues.setdefault(label, []).append(i)
    turns = [(place, label) for label, q in queues.items() for place in range(len(q))]
    return [queues[label][place] for place, label in sorted(turns)]


def _picture(image: np.ndarray) -> np.ndarray:
    """An example in 8 bits; of a volume the middle plane, for nothing is marked."""
    plane = (len(image) // 2,) if image.ndim == 4 else ()
    return image_files.as_8_bits(image[plane])
