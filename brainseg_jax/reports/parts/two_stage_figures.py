"""Pictures of two stages: slices with masks and verdict, and who was wrong where."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brainseg_jax.data import image_files
from brainseg_jax.data.sources import Source
from brainseg_jax.metrics import two_stages
from brainseg_jax.metrics.two_stages import ALONE, TOGETHER, Staged
from brainseg_jax.reports.parts import (
    class_figures,
    comparison_charts,
    count_bars,
    mask_panels,
    two_stage_tables,
)
from brainseg_jax.reports.parts.mask_panels import Slice
from brainseg_jax.reports.parts.two_stage_tables import HEADINGS, KINDS

Row = dict[str, Any]
MasksOf = Callable[[int], np.ndarray]  # a slice's mask of the two stages
WRONG = {"false_positives": "falsely called", "false_negatives": "missed"}


def draw(
    staged: Staged,
    source: Source,
    masks_of: MasksOf,
    folder: Path,
    *,
    empty: str,
    least_area: int,
    title: str,
    note: str,
) -> None:
    """confusion.png, panels.png, scores.png and errors.png, the latter if there are any."""
    said = {"title": title, "note": note}
    class_figures.confusion_matrices(
        {
            HEADINGS[way]: matrix
            for way, matrix in two_stage_tables.matrices_of(staged, least_area).items()
        },
        KINDS,
        folder / "confusion.png",
        **said,
    )
    mask_panels.five_panels(
        panels(staged, source, masks_of, empty),
        folder / "panels.png",
        classes=source.info.classes,
        **said,
    )
    rows = two_stage_tables.by_patient(
        staged, source, empty=empty, least_area=least_area
    )
    comparison_charts.bars(scores(rows), folder / "scores.png", **said)
    if charts := errors(rows):
        count_bars.stacked_charts(charts, folder / "errors.png", title=title, note=note)


def chosen(staged: Staged) -> dict[str, int]:
    """A slice of each kind, where there is one: found, missed, falsely called, spared."""
    true, called = staged.tumour, staged.called
    alone, together = staged.marked_alone, staged.marked_together
    size = staged.marked_true.astype(float)
    kinds = {
        "the largest tumour called": np.where(true & called, size, 0),
        "the smallest tumour called": np.where(
            true & called, 1 / np.maximum(size, 1), 0
        ),
        "the largest tumour missed": np.where(true & ~called, size, 0),
        "the largest false mask": np.where(~true, together, 0),
        "the largest false mask spared": np.where(~true & ~called, alone, 0),
        "the surest false call": np.where(~true & called, staged.probability, 0),
    }
    places = {kind: int(own.argmax()) for kind, own in kinds.items() if own.any()}
    first: dict[int, str] = {}
    for kind, place in places.items():  # of few slices one may be of two kinds
        first.setdefault(place, kind)
    return {kind: place for place, kind in first.items()} or {"the first slice": 0}


def panels(
    staged: Staged, source: Source, masks_of: MasksOf, empty: str
) -> list[Slice]:
    """Rows of five_panels, each saying what the classifier called the slice."""
    dice = two_stages.dice_of(staged.together, empty)
    rows = []
    for kind, place in chosen(staged).items():
        image, truth = source.read_stored(place)
        called = "called" if staged.called[place] else "not called"
        said = (
            f"{kind[0].upper()}{kind[1:]}",
            f"{source.patients[place]} slice {source.slices[place]}",
            f"tumour {staged.probability[place]:.2f}: {called}",
            f"Dice {dice[place]:.2f}",
        )
        picture = image_files.as_8_bits(image)
        rows.append(Slice(" · ".join(said), picture, truth, masks_of(place)))
    return rows


def errors(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, int]]]:
    """Slices of each patient that each way has wrong; ways without any are left out."""
    charts: dict[str, dict[str, dict[str, int]]] = {}
    for way, heading in HEADINGS.items():
        bars = {
            row["patient"]: {
                name: row[f"{way}_{column}"] for column, name in WRONG.items()
            }
            for row in rows
        }
        wrong = {name: parts for name, parts in bars.items() if any(parts.values())}
        if wrong:
            charts[f"{heading}: wrong slices"] = wrong
    return charts


def scores(rows: Sequence[Row]) -> dict[str, dict[str, list[float]]]:
    """Of every patient, without and with the first stage."""
    ways = (ALONE, TOGETHER)
    return {
        "Dice of patients": {
            HEADINGS[way]: [row[f"dice_{way}"] for row in rows] for way in ways
        },
        "Slices rightly told": {
            HEADINGS[way]: [1 - _wrong(row, way) / row["slices"] for row in rows]
            for way in ways
        },
    }


def _wrong(row: Row, way: str) -> int:
    return sum(row[f"{way}_{column}"] for column in WRONG)
