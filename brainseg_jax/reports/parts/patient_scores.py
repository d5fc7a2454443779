"""What each patient scored, by the tables of a report: what runs are compared by."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.data.info import Info
from brainseg_jax.reports.parts import patient_bars, patient_dice

Row = dict[str, Any]
Scores = dict[str, dict[str, float]]  # score -> patient -> value, nan where undefined
# Columns of masks, and what they are called.
OF_MASKS = {
    "dice": "Dice",
    "iou": "IoU",
    "recall": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "volume_difference": "volume difference",
    "hd95": "HD95",
    "assd": "average surface distance",
    "nsd": "normalised surface distance",
    "lesion_dice": "lesion-wise Dice",
    "lesion_f1": "lesion-wise F1",
}
# By which runs are compared, in few letters.
COMPARED = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95": "HD95",
    "assd": "ASSD",
    "nsd": "NSD",
    "lesion_dice": "lesion Dice",
    "lesion_f1": "lesion F1",
}
LOWER_IS_BETTER = ("HD95", "ASSD")


def of_masks(rows: Sequence[Row], info: Info) -> Scores:
    """Dice of each patient as patients.png has it, then that of each class or kind.

    Then whatever else of COMPARED the table has, in the same way.
    """
    found: Scores = {}
    for column, words in COMPARED.items():
        if column in rows[0]:
            unit = f" ({rows[0]['unit']})" if words in LOWER_IS_BETTER else ""
            found |= _of_column(rows, info, column, f"{words}{unit}")
    return found


def _of_column(rows: Sequence[Row], info: Info, column: str, words: str) -> Scores:
    patients = _patients(rows)
    classes = list(dict.fromkeys(row["class"] for row in rows))
    numbers = [{**row, "dice": as_number(row[column])} for row in rows]
    kinds = info.kinds if "label" in rows[0] else ()  # older tables do not say it
    each, named = patient_dice.table(numbers, patients, kinds, classes)
    columns = {words: patient_bars.mean_of_each(each)}
    columns |= {
        f"{words} {name}": own for name, own in zip(named, each.T, strict=False)
    }
    return {
        name: dict(zip(patients, own.tolist(), strict=True))
        for name, own in columns.items()
    }


def lower_is_better(score: str) -> bool:
    return any(words in score for words in LOWER_IS_BETTER)


def is_drawn(score: str) -> bool:
    """Whether a chart from 0 to 1 has it: of masks Dice, and the means of other shares."""
    others = [words for words in COMPARED.values() if words != "Dice"]
    own = [words for words in others if words in score]
    return not own or (not lower_is_better(score) and score.endswith(own[0]))


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
