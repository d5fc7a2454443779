"""Which Dice of a patient is drawn, and in which colour."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

Row = dict[str, Any]


def table(
    rows: Sequence[Row],
    patients: Sequence[str],
    kinds: Sequence[str],
    classes: Sequence[str],
) -> tuple[Float[np.ndarray, "p c"], list[str]]:
    """Dice of each patient by what gives it its colour, and the names of the colours.

    `rows` are those of mask_tables.by_patient. A colour is a class; where the data set
    tells kinds apart and masks do so too, a patient has a score of its own alone. Of a lone
    class a colour is a kind, and without kinds there is no colour: the names are [].
    """
    several = len(classes) > 1
    found = {
        (row["patient"], row["class"] if several else row.get("label", "")): row["dice"]
        for row in rows
        if not (several and kinds and _is_anothers(row, classes))
    }
    named = [*classes] if several else _kinds_in_order(rows, kinds)
    columns = named or [""]
    each = [[found.get((one, name), math.nan) for name in columns] for one in patients]
    return np.array(each, float), named


def _is_anothers(row: Row, classes: Sequence[str]) -> bool:
    """Whether a row is of another class than those that the patient's slices are of."""
    own = {*row["label"].split("+")} & {*classes}
    return bool(own) and row["class"] not in own


def _kinds_in_order(rows: Sequence[Row], kinds: Sequence[str]) -> list[str]:
    """All kinds, so that colours are the same for every split, and mixtures there are."""
    mixed = {row["label"] for row in rows} - {*kinds} if kinds else set()
    return [*kinds, *sorted(mixed)]
