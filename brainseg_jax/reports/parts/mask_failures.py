"""The worst patients of a split: what of their tumours was missed, and what was invented.

Missed is what is tumour and was not marked, spilled what was marked and is none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from brainseg_jax.metrics.mask_shapes import OF_LESIONS, OF_PARTS

Row = dict[str, Any]
WORST = 4
NO_ERROR = "no error"
UNEQUAL = 2.0  # times as much of one error as of the other: then it is named alone


def wrong(by_patient: Sequence[Row]) -> list[str]:
    """Patients with any error: two empty masks have none, whatever they score."""
    faulty = (row["patient"] for row in by_patient if what(row) != NO_ERROR)
    return list(dict.fromkeys(faulty))


def worst(dice: Mapping[str, float], most: int = WORST) -> list[str]:
    """Patients with the lowest scores, the lowest first; none that is all right."""
    known = [name for name, value in dice.items() if value < 1]  # nan is not
    return sorted(known, key=lambda name: dice[name])[:most]


def rows_of(
    patients: Sequence[str], by_patient: Sequence[Row], by_slice: Sequence[Row]
) -> list[Row]:
    """A row per patient and class, of those of patients.csv and metrics.csv."""
    table = []
    for rank, patient in enumerate(patients, 1):
        for own in (row for row in by_patient if row["patient"] == patient):
            examples = [
                row
                for row in by_slice
                if row["patient"] == patient and row["class"] == own["class"]
            ]
            table.append(
                {"rank": rank, "patient": patient, "class": own["class"]}
                | {"dice": own["dice"], "what": what(own)}
                | _pixels(own)
                | _examples(examples)
                | {name: own[name] for name in OF_LESIONS + OF_PARTS if name in own}
            )
    return table


def captions(rows: Sequence[Row]) -> dict[str, str]:
    """Of each patient the Dice and what went wrong, in a line for each class."""
    several = len({row["class"] for row in rows}) > 1
    said: dict[str, list[str]] = {}
    for row in rows:
        dice = "no Dice" if np.isnan(row["dice"]) else f"Dice {row['dice']:.2f}"
        whose = f"{row['class']} " if several else ""
        said.setdefault(row["patient"], []).append(f"{whose}{dice}, {row['what']}")
    return {patient: "\n".join(own) for patient, own in said.items()}


def what(row: Mapping[str, Any]) -> str:
    """What went wrong, in words, by counts of pixels or voxels."""
    hits, spilled, missed = _counts(row)
    if not hits + missed:
        return "marked where nothing is" if spilled else NO_ERROR
    if not hits + spilled:
        return "not found"
    if not hits:
        return "marked elsewhere"
    if not missed + spilled:
        return NO_ERROR
    if missed > UNEQUAL * spilled:
        return "mostly missed"
    if spilled > UNEQUAL * missed:
        return "mostly spilled"
    return "missed and spilled alike"


def _pixels(row: Mapping[str, Any]) -> Row:
    """Shares are of what is true, and of what is marked; nan of nothing."""
    hits, spilled, missed = _counts(row)
    return {
        "missed": missed,
        "missed_share": _share(missed, hits + missed),
        "spilled": spilled,
        "spilled_share": _share(spilled, hits + spilled),
    }


def _examples(rows: Sequence[Row]) -> Row:
    """Of how many slices or volumes with the class nothing was found, and the reverse."""
    counts = np.array([_counts(row) for row in rows]).reshape(-1, 3)
    hits, spilled, missed = counts.T
    there = hits + missed > 0
    return {
        "examples": len(rows),
        "with_tumour": int(there.sum()),
        "with_tumour_not_found": int((there & (hits == 0)).sum()),
        "without_but_marked": int((~there & (spilled > 0)).sum()),
    }


def _counts(row: Mapping[str, Any]) -> tuple[int, int, int]:
    hits, spilled, missed = (
        int(row[name])
        for name in ("true_positives", "false_positives", "false_negatives")
    )
    return hits, spilled, missed


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else np.nan
