"""Tables of classified slices: by slice, by patient, and confusion matrices."""

import math
from typing import Any

from brainseg_jax.data import sources
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import classification as class_scores
from brainseg_jax.metrics import confusions, decisions
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.tasks.parts.task import Task

Row = dict[str, Any]


def by_slice(scored: Scored, source: sources.Source, task: Task) -> list[Row]:
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


def by_patient(decided: Decided, source: sources.Source, task: Task) -> list[Row]:
    """A row per patient: slices of each class, scores over them, and a prediction.

    The prediction, by the mean probability of the slices, only where every patient's slices
    have one label; there balanced accuracy and ROC-AUC of a patient's own are not defined.
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
                **{
                    name: round(float(getattr(grouped, name)[i]), 6)
                    for name in class_scores.EACH_PATIENT[1:]
                },
            }
            for i, row in enumerate(rows)
        ]
    whole = class_scores.by_mean_probability(grouped, task.predict)
    return [
        {
            **row,
            "label": task.classes[whole.label[i]],
            "predicted": task.classes[whole.predicted[i]],
            **decisions.probability_columns(task.classes, whole.probability[i]),
        }
        for i, row in enumerate(rows)
    ]


def confusion(decided: Decided, source: sources.Source, task: Task) -> list[Row]:
    """A row per cell of each matrix: its count, and its share of the label's."""
    return [
        {
            "by": by,
            "label": label,
            "predicted": predicted,
            "count": round(float(matrix[i, j]), 6),
            "share": round(float(matrix[i, j] / max(matrix[i].sum(), 1e-12)), 6)
            if matrix[i].any()
            else math.nan,
        }
        for by, matrix in matrices(decided, source, task).items()
        for i, label in enumerate(task.classes)
        for j, predicted in enumerate(task.classes)
    ]


def matrices(decided: Decided, source: sources.Source, task: Task) -> dict[str, Any]:
    """Confusion matrices: of slices, of slices weighed by patient, and of patients.

    Patients are classified by the mean probability of their slices, where every patient's
    slices have one label.
    """
    weights = confusions.patient_weights(source.patients)
    matrices = {
        "slice": confusions.confusion(decided),
        "patient": confusions.confusion(decided, weights),
    }
    grouped = class_scores.by_patient(decided, source.patients)
    if grouped.have_one_label:
        whole = class_scores.by_mean_probability(grouped, task.predict)
        matrices[class_scores.OF_PATIENTS] = confusions.confusion(whole)
    return matrices
