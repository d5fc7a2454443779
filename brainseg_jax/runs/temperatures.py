"""Fits a classifier's temperature to its validation split.

Of a cross-validation each model is asked of its own validation fold, and all are pooled.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import calibration, pixel_calibration
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports.parts import calibration_figure
from brainseg_jax.runs import cards, mending, out_of_fold, split_scores
from brainseg_jax.runs.out_of_fold import Fold
from brainseg_jax.tasks.parts.task import Task


def choose_of(
    folds: Sequence[Fold], folder: pathlib.Path
) -> tuple[Rules, dict[str, Any]]:
    """No rules, and what the card says: the temperature, and calibration by it.

    One that was fitted at an end of its range is left out, and the card says so.
    """
    first = folds[0].restored
    task = first.parts.task
    every = [split_scores.score(fold.restored, fold.source).measured for fold in folds]
    decided = Decided(*map(np.concatenate, zip(*every, strict=True)))
    temperature = calibration.fit_temperature(
        decided, exclusive=mending.is_exclusive(task)
    )
    if calibration.at_edge(temperature):
        return Rules(), {cards.LEFT_OUT: temperature}
    mended = at_temperature(decided, temperature, task)
    calibration_figure.reliability_curves(
        {
            "as predicted": calibration.reliability(decided),
            f"at temperature {temperature:.2f}": calibration.reliability(mended),
        },
        folder / "calibration.png",
        title=f"Calibration, on {out_of_fold.splits_of(folds)}",
        note=first.record.about.note,
    )
    return Rules(), {
        "temperature": temperature,
        "without_temperature": errors(decided, task),
        "with_temperature": errors(mended, task),
    }


def errors(decided: Decided, task: Task) -> dict[str, float]:
    """How far probabilities are off, over slices."""
    return {
        "slice_ece": calibration.expected_error(calibration.reliability(decided)),
        "slice_brier": calibration.brier(decided),
        "slice_cross_entropy": calibration.cross_entropy(
            decided, temperature=1.0, exclusive=mending.is_exclusive(task)
        ),
    }


def scores_at(
    temperature: float | None, scored: Scored, task: Task
) -> tuple[dict[str, Any], dict[str, str]]:
    """What a summary and its table have besides; nothing without a temperature.

    Of masks of slices it is the pixels that are scored, where they were counted.
    """
    if temperature is None or (task.uses_masks and not scored.pixels):
        return {}, {}
    if scored.pixels:
        found = pixel_calibration.summarise(
            scored.pixels.tallies, task.classes, temperature=temperature
        )
        error = found["pixel_ece"]
    else:
        found = errors(at_temperature(scored.measured, temperature, task), task)
        error = found["slice_ece"]
    name = f"calibration error at temperature {temperature:.2f}"
    said = {"temperature": temperature, "scores": found}
    return {"calibration": said}, {name: f"{error:.3f}"}


def at_temperature(decided: Decided, temperature: float, task: Task) -> Decided:
    """The same predictions, less or more sure."""
    probability = calibration.with_temperature(
        decided.probability, temperature, exclusive=mending.is_exclusive(task)
    )
    return decided._replace(probability=probability)
