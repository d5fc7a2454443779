"""Every patient's scores in a report, as far as a page has room for them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.reports.page.blocks import Block, Grid, Section, Text

Row = dict[str, Any]
FILE = "patients.csv"
LISTED = 200  # rows of a table
# Of patients.csv -> what they are called; a table has those that its file has.
COLUMNS = {
    "fold": "fold",
    "patient": "patient",
    "label": "label",
    "predicted": "predicted",
    "slices": "examples",
    "class": "class",
    "accuracy": "accuracy",
    "dice": "Dice",
    "iou": "IoU",
    "recall": "sensitivity",
    "precision": "precision",
    "hd95": "HD95",
    "nsd": "NSD",
    "ml_true": "mL true",
    "ml_predicted": "mL predicted",
}


def section(tables: Mapping[str, Sequence[Row]]) -> Section:
    """Of every table called patients.csv."""
    blocks: list[Block] = []
    for name, rows in tables.items():
        if not name.endswith(FILE):
            continue
        folder = name.removesuffix(FILE).strip("/")
        own: list[Block] = [_table(rows[:LISTED])]
        if len(rows) > LISTED:
            own.append(Text(f"The first {LISTED} of {len(rows):,} rows of {name}."))
        blocks += [Section(folder, own)] if folder else own
    return Section("Patients", blocks)


def _table(rows: Sequence[Row]) -> Grid:
    names = [name for name in COLUMNS if name in rows[0]]
    if len({row.get("class") for row in rows}) == 1:
        names = [name for name in names if name != "class"]
    cells = [[_cell(row[name]) for name in names] for row in rows]
    unit = f"; HD95 in {rows[0]['unit']}" if "unit" in rows[0] else ""
    return Grid([COLUMNS[name] for name in names], cells, f"more in {FILE}{unit}")


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "not defined" if math.isnan(value) else f"{value:.3f}"
