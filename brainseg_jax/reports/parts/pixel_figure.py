"""The reliability curve of pixels: how often they are of a class, by its probability."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from brainseg_jax.inference.pixel_counts import Pixels
from brainseg_jax.metrics import pixel_calibration
from brainseg_jax.metrics.calibration import Reliability
from brainseg_jax.reports.parts import calibration_figure

COUNTED = {"head": "Pixels of the head", "all": "Pixels"}


def of_classes(
    pixels: Pixels, classes: Sequence[str], path: Path, *, title: str, note: str
) -> Path:
    """A curve for each class, over the pixels of all patients."""
    pooled = zip(classes, pixels.tallies.sum(0), strict=True)
    curves = {name: pixel_calibration.reliability(own) for name, own in pooled}
    title = f"{title}: calibration of pixels"
    return _draw(curves, path, policy=pixels.policy, title=title, note=note)


def with_temperature(
    found: Int[np.ndarray, "2 b"],
    temperature: float,
    path: Path,
    *,
    policy: str,
    title: str,
    note: str,
) -> Path:
    """Of the pixels of all classes, as predicted and at a temperature."""
    curves = {
        name: pixel_calibration.reliability(found, value)
        for name, value in (
            ("as predicted", 1.0),
            (f"at temperature {temperature:.2f}", temperature),
        )
    }
    return _draw(curves, path, policy=policy, title=title, note=note)


def _draw(
    curves: Mapping[str, Reliability], path: Path, *, policy: str, title: str, note: str
) -> Path:
    return calibration_figure.reliability_curves(
        curves,
        path,
        probability="Probability of the class",
        right="Share that is of it",
        counted=COUNTED[policy],
        title=title,
        note=note,
    )
