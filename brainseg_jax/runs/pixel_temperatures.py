"""Fits the temperature of a model's masks of slices to its validation split.

It changes the probabilities that are written, and no mask: those go by the threshold, which
is of the probabilities as the net gives them.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from brainseg_jax.metrics import calibration, pixel_calibration
from brainseg_jax.reports.parts import pixel_figure
from brainseg_jax.runs import cards, out_of_fold, split_scores
from brainseg_jax.runs.out_of_fold import Fold


def choose_of(folds: Sequence[Fold], folder: pathlib.Path) -> dict[str, Any]:
    """What the card says: the temperature, and calibration by it; {} where none helps.

    One that was fitted at an end of its range is left out, and the card says so.
    Of several models each is asked of its own split, and their pixels are pooled. Of
    several classes that share a softmax, and where no pixels count, there is none.
    """
    first = folds[0].restored
    task = first.parts.task
    policy = split_scores.counted_pixels(first)
    if policy == "none" or (task.exclusive and len(task.classes) > 1):
        return {}
    tallies = [_tallies(fold, policy) for fold in folds]
    if not helps(np.concatenate(tallies)):
        return {}
    pooled = np.concatenate(tallies).sum((0, 1))
    temperature = pixel_calibration.fit_temperature(pooled)
    if calibration.at_edge(temperature):
        return {cards.LEFT_OUT: temperature}
    pixel_figure.with_temperature(
        pooled,
        temperature,
        folder / "calibration.png",
        policy=policy,
        title=f"Calibration of pixels, on {out_of_fold.splits_of(folds)}",
        note=first.record.about.note,
    )
    return {
        "temperature": temperature,
        "calibration_of_pixels": policy,
        "without_temperature": errors(pooled, 1.0),
        "with_temperature": errors(pooled, temperature),
    }


def _tallies(fold: Fold, policy: str) -> Int[np.ndarray, "p c 2 b"]:
    """Of the patients of a split."""
    found = split_scores.score(fold.restored, fold.source, pixels=policy).pixels
    assert found is not None
    return found.tallies


def helps(tallies: Int[np.ndarray, "p c 2 b"]) -> bool:
    """Whether patients are more likely by a temperature that was fitted to the others."""
    if len(tallies) < 2:
        return False
    whole = tallies.sum((0, 1))
    gained = 0.0
    for own in tallies.sum(1):
        fitted = pixel_calibration.fit_temperature(whole - own)
        before, after = (
            pixel_calibration.cross_entropy(own, one) for one in (1.0, fitted)
        )
        gained += (before - after) * own.sum() if own.sum() else 0.0
    return gained > 0


def errors(found: Int[np.ndarray, "2 b"], temperature: float) -> dict[str, float]:
    """How far probabilities are off, over pixels."""
    return {
        "pixel_ece": pixel_calibration.expected_error(found, temperature),
        "pixel_brier": pixel_calibration.brier(found, temperature),
        "pixel_cross_entropy": pixel_calibration.cross_entropy(found, temperature),
    }
