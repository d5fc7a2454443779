"""The worst patients of a report: what went wrong, in words, numbers and pictures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.metrics.mask_shapes import OF_LESIONS, OF_PARTS
from brainseg_jax.reports.page.blocks import Block, Grid, Picture, Section, Text

Row = dict[str, Any]
FILE = "failures.csv"
NOTHING = "No patient has an error."
OF_MASKS = (
    "missed: tumour that was not marked, and its share of the tumour; spilled: what was "
    "marked and is none, and its share of what was marked"
)


def section(
    tables: Mapping[str, Sequence[Row]],
    pictures: Sequence[Picture],
    dimensions: int,
) -> Section:
    """`tables` are those called failures.csv; of two heads each has a folder."""
    blocks: list[Block] = []
    for name, rows in tables.items():
        folder = name.removesuffix(FILE)
        own: list[Block] = [_table(rows, dimensions)] if rows else [Text(NOTHING)]
        own += [one for one in pictures if rows and one.name == f"{folder}failures.png"]
        blocks += [Section(folder.strip("/"), own)] if folder else own
    return Section("Failure gallery: the worst patients", blocks)


def _table(rows: Sequence[Row], dimensions: int) -> Grid:
    if "dice" not in rows[0]:
        return _of_classes(rows)
    one = "volume" if dimensions == 3 else "slice"
    several = len({row["class"] for row in rows}) > 1
    columns = ["patient", *(["class"] if several else []), "Dice", "what went wrong"]
    columns += ["missed", "spilled", f"{one}s not found", f"{one}s marked without"]
    counted = [name for name in OF_LESIONS + OF_PARTS if name in rows[0]]
    columns += [name.replace("_", " ") for name in counted]
    table = [
        [
            row["patient"],
            *([row["class"]] if several else []),
            _score(row["dice"]),
            row["what"],
            _with_share(row["missed"], row["missed_share"]),
            _with_share(row["spilled"], row["spilled_share"]),
            f"{row['with_tumour_not_found']} of {row['with_tumour']}",
            f"{row['without_but_marked']} of {row['examples'] - row['with_tumour']}",
            *(str(row[name]) for name in counted),
        ]
        for row in rows
    ]
    what = "voxels" if dimensions == 3 else "pixels"
    return Grid(columns, table, f"in {what}; {OF_MASKS}{_of_parts(counted)}")


def _of_parts(counted: Sequence[str]) -> str:
    if OF_PARTS[0] in counted:
        return "; parts: pieces of a mask on one slice, summed over slices"
    return "; lesions: as in lesion-wise Dice" if counted else ""


def _of_classes(rows: Sequence[Row]) -> Grid:
    columns = ("patient", "slices wrong", "what went wrong", "surest error", "by")
    table = [
        [
            row["patient"],
            f"{row['wrong']} of {row['slices']}",
            row["what"],
            row["surest"],
            _score(row["probability"]),
        ]
        for row in rows
    ]
    return Grid(columns, table, "by: the probability of the class that was predicted")


def _score(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.3f}"


def _with_share(count: int, share: float) -> str:
    return f"{count:,}" if math.isnan(share) else f"{count:,} ({100 * share:.1f} %)"
