"""What each patient scored, by the tables of a report: what runs are compared by."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.data.info import Info
from brainseg_jax.reports.parts import patient_bars, patient_dice

Row = dict[str, Any]
Scores = dict[str, dict[str, float]]  # score -> patient -> value, nan where undefined


def of_masks(rows: Sequence[Row], info: Info) -> Scores:
    """Dice of each patient as patients.png has it, then that of each class or kind."""
    patients = _patients(rows)
    classes = list(dict.fromkeys(row["class"] for row in rows))
    numbers = [{**row, "dice": as_number(row["dice"])} for row in rows]
    kinds = info.kinds if "label" in rows[0] else ()  # older tables do not say it
    each, named = patient_dice.table(numbers, patients, kinds, classes)
    columns = {"Dice": patient_bars.mean_of_each(each)}
    columns |= {f"Dice {name}": own for name, own in zip(named, each.T, strict=False)}
    return {
        name: dict(zip(patients, own.tolist(), strict=True))
        for name, own in columns.items()
    }


def of_classes(rows: Sequence[Row]) -> Scores:
    """Accuracy over each patient's slices, and whatever else the table has of a patient."""
    scores = {
        said: {row["patient"]: as_number(row[column]) for row in rows}
        for column, said in (
            ("accuracy", "accuracy"),
            ("balanced_accuracy", "balanced accuracy"),
            ("auc", "ROC-AUC"),
        )
        if column in rows[0]
    }
    if "predicted" in rows[0]:
        right = {
            row["patient"]: float(row["predicted"] == row["label"]) for row in rows
        }
        scores["accuracy of patients by mean probability"] = right
    return scores


def as_number(text: Any) -> float:
    """Of a cell of a table; nan where it is empty or says null."""
    return math.nan if text in ("", None) else float(text)


def defined(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The scores that at least one patient has."""
    return [
        name
        for name, own in scores.items()
        if not all(math.isnan(value) for value in own.values())
    ]


def _patients(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["patient"] for row in rows))
