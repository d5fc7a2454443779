"""The patients most of whose slices were taken for another class, and for which."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.metrics import decisions

Row = dict[str, Any]
WORST = 5
HEADING = "The surest error of each of the worst patients"


def rows_of(by_slice: Sequence[Row], most: int = WORST) -> list[Row]:
    """A row per patient, of those of metrics.csv; none of a patient who is all right.

    Of two patients with as large a share of errors the one comes first whose errors were
    surer.
    """
    slices: dict[str, list[Row]] = {}
    for row in by_slice:
        slices.setdefault(row["patient"], []).append(row)
    rows = [_row(patient, own) for patient, own in slices.items() if _wrong(own)]
    ranked = sorted(rows, key=lambda row: (row["accuracy"], -row["probability"]))
    return [{"rank": place, **row} for place, row in enumerate(ranked[:most], 1)]


def _row(patient: str, slices: Sequence[Row]) -> Row:
    wrong = _wrong(slices)
    surest = max(wrong, key=_probability)
    pairs = collections.Counter((row["label"], row["predicted"]) for row in wrong)
    (label, taken_for), times = pairs.most_common(1)[0]
    return {
        "patient": patient,
        "slices": len(slices),
        "wrong": len(wrong),
        "accuracy": round(1 - len(wrong) / len(slices), 6),
        "what": f"{label} taken for {taken_for} ({times} of {len(wrong)})",
        "surest": surest["key"],
        "probability": round(_probability(surest), 6),
    }


def _wrong(slices: Sequence[Row]) -> list[Row]:
    return [row for row in slices if row["label"] != row["predicted"]]


def _probability(row: Mapping[str, Any]) -> float:
    """Of what was predicted."""
    return float(row[f"probability_{decisions.key_of(row['predicted'])}"])
