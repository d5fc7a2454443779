"""Whether scans are like what a model was trained on: kept with a run, told of each."""

from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Shaped

from brainseg_jax.data import profiles, scans, volume_profiles
from brainseg_jax.data.scans import Scan
from brainseg_jax.data.sources import Source
from brainseg_jax.runs import scan_labels
from brainseg_jax.runs.records import About


def describe(training: Source) -> dict[str, Any]:
    """What a run's record says of how its training examples look."""
    of = {2: profiles.profile, 3: volume_profiles.profile}[training.info.dimensions]
    return {"profile": of(training)}


def warnings_of(scan: Scan, about: About, axis: str, name: str) -> tuple[str, ...]:
    """What makes a scan's prediction doubtful, of what is checked; the log says it too.

    A model of slices sees it along `axis`.
    """
    there = [k for k in range(scan.image.shape[-1]) if k not in scan.missing]
    flat = [
        f"{about.info.channels[k]} is of one value everywhere"
        for k in there
        if scan.image[..., k].min() == scan.image[..., k].max()
    ]
    known = about.data.get("profile")
    found = (*flat, *(_unlike(scan, known, about, axis) if known else ()))
    for one in found:
        logging.warning("%s: %s.", name, one)
    return found


def _unlike(
    scan: Scan, known: dict[str, Any], about: About, axis: str
) -> tuple[str, ...]:
    if about.info.dimensions == 2:
        return profiles.unlike(_slices(scan, axis), known)
    cropped = scan.image[scan_labels.foreground_box(scan.image)]
    return volume_profiles.unlike(cropped, scan.spacing, about.info.channels, known)


def _slices(scan: Scan, axis: str) -> list[Shaped[np.ndarray, "h w c"]]:
    image = scans.resize(scan.image, scan_labels.square(scan, axis))
    return [*scans.slices(image, axis)]
