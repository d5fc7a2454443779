"""The same patients as several runs see them: scan, truth, and each run's mask."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from brainseg_jax.data import sources
from brainseg_jax.reports.parts import (
    example_panels,
    mask_panels,
    patient_panels,
    planes,
)
from brainseg_jax.reports.parts.panels import Panel, draw_panels

Row = dict[str, Any]
Predict = Callable[[int], np.ndarray]  # example -> its predicted labels [*space, 1]


def mean_over_runs(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Of each patient that every run has a score of; `scores` by run, then patient."""
    first = next(iter(scores.values()))
    return {
        patient: float(np.mean([own[patient] for own in scores.values()]))
        for patient in first
    }


def largest_slices(rows: Sequence[Row]) -> dict[str, str]:
    """Patient -> key of the slice with most tumour, by a report's metrics.csv.

    Of a patient without tumour, that with most pixels predicted.
    """
    extent: dict[tuple[str, str], float] = {}
    for row in rows:
        place = (row["patient"], row["key"])
        true = int(row["true_positives"]) + int(row["false_negatives"])
        own = true or 1e-6 * int(row["false_positives"])
        extent[place] = extent.get(place, 0) + own
    found: dict[str, str] = {}
    for patient, key in sorted(extent, key=lambda place: -extent[place]):
        found.setdefault(patient, key)
    return found


def draw(
    opened: Mapping[str, tuple[sources.Source, Predict]],
    scores: Mapping[str, Mapping[str, float]],
    slices: Mapping[str, str],
    path: str | Path,
    *,
    title: str,
    note: str = "",
) -> Path:
    """A row for the best, the median and the worst patient by the mean over runs.

    Args:
        opened: by run: a split of the same examples for all, and its predictions.
        scores: by run, of each patient; slices: which example is shown of each.

    Raises:
        ValueError: if no patient has a score in every run.
    """
    means = mean_over_runs(scores)
    if np.isnan([*means.values()]).all():
        raise ValueError(f"{path}: no patient has a score in every run.")
    source = next(iter(opened.values()))[0]
    if len(source.info.classes) == 1:
        title += "; truth red, predictions green"
    panels = []
    for patient, ranks in _ranks(means).items():
        said = f"{ranks}, mean {means[patient]:.2f}\n{patient}"
        own = {run: of_patients[patient] for run, of_patients in scores.items()}
        panels += _row(opened, slices[patient], own, said)
    return draw_panels(
        panels,
        2 + len(opened),
        path,
        classes=source.info.classes,
        title=title,
        note=note,
    )


def _ranks(means: Mapping[str, float]) -> dict[str, str]:
    """Of few patients one may be the median and the worst, too."""
    found: dict[str, str] = {}
    for rank, patient in patient_panels.picks(means).items():
        found[patient] = f"{found[patient]} and {rank}" if patient in found else rank
    return found


def _row(
    opened: Mapping[str, tuple[sources.Source, Predict]],
    key: str,
    scores: Mapping[str, float],
    said: str,
) -> list[Panel]:
    source = next(iter(opened.values()))[0]
    chosen = list(source.keys).index(key)
    classes = source.info.classes
    image, truth = source.read_stored(chosen)
    masks = {
        run: predict(list(one.keys).index(key))
        for run, (one, predict) in opened.items()
    }
    marked = [mask for mask in (truth, *masks.values()) if mask.any()]
    seen = (marked[0] if marked else truth)[..., 0] > 0
    plane = planes.choose_plane(image, seen)
    mri = example_panels.scan(np.ascontiguousarray(image[plane]))
    grey = example_panels.grey(mri)

    def over(mask: np.ndarray, lone: tuple[int, int, int]) -> np.ndarray:
        shown = np.ascontiguousarray(mask[plane])
        return example_panels.tinted(grey, shown, classes, lone=lone)

    number = source.slices[chosen]
    where = f"slice {number}" if image.ndim == 3 else f"plane {plane[0]}"
    return [
        Panel(mri, f"{said}\n{where}"),
        Panel(over(truth, mask_panels.TRUTH), "truth"),
        *(
            Panel(over(mask, mask_panels.PREDICTION), f"{run}\n{scores[run]:.2f}")
            for run, mask in masks.items()
        ),
    ]
