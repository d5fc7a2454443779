"""The exploratory pictures of a surveyed data set, whichever it allows."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from brainseg_jax.data.survey import Survey
from brainseg_jax.reports.parts import survey_charts, survey_examples

# Each draws one file and gives a line on what it cannot show, or "".
PICTURES = {
    "classes": survey_charts.draw_classes,
    "folds": survey_charts.draw_folds,
    "pairs": survey_examples.draw_pairs,
    "tumours": survey_examples.draw_tumours,
    "intensities": survey_charts.draw_intensities,
    "mask_area": survey_charts.draw_areas,
    "mask_places": survey_charts.draw_places,
    "patients": survey_charts.draw_patients,
}


def draw(
    found: Survey,
    folder: Path,
    rng: np.random.Generator,
    *,
    progress: Callable[[Sequence[str]], Iterable[str]] = iter,
) -> list[str]:
    """Every picture the data set allows; gives a line for each that it does not.

    `progress` is handed the pictures' names and gives them back.
    """
    lines = []
    for name in progress([*PICTURES]):
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)  # it may be of another data set
        if line := PICTURES[name](found, path, rng):
            lines.append(f"{name}.png: {line}")
    return lines
