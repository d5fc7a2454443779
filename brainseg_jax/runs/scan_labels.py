"""Labels of a scan on its own grid, by a model of volumes or of slices.

A model of volumes sees a scan at the spacing it was trained at, cropped to what is not 0,
as prepared volumes are. A model of slices sees it slice by slice.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from ml_collections import ConfigDict

from brainseg_jax.data import neighbours, normalise, scans
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference import post_processing, regridding
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.inference.windows import Windows
from brainseg_jax.runs import experiment
from brainseg_jax.runs.predictor import (
    Labeller,
    make_labeller,
    make_volume_labeller,
)
from brainseg_jax.runs.restore import Restored

Label = Callable[[Scan], UInt8[np.ndarray, "z y x"]]


def make_label(restored: Restored, axis: str, rules: Rules) -> Label:
    """The publisher's labels of a scan, on its own grid."""
    about = restored.record.about
    options = about.config["data"]["normalisation"]
    if about.info.dimensions == 2:
        reach = about.settings.data.neighbours
        return _of_slices(make_labeller(restored), options, axis, rules, reach)
    windows = experiment.windows_of(about.settings) or _training_windows(about.settings)
    label = make_volume_labeller(restored, windows)
    return _of_volumes(label, options, about.info.spacing, rules)


def _of_volumes(
    label: Labeller, options: dict[str, Any], spacing: Sequence[float], rules: Rules
) -> Label:
    def of_scan(scan: Scan) -> np.ndarray:
        shape = scan.image.shape[:3]
        size = scans.resized_shape(shape, scan.spacing, spacing or scan.spacing)
        image = scans.resize(scan.image, size)
        box = foreground_box(image)
        cropped = image[box]
        numbers = _scaling([cropped], options, scan.missing)[0]
        grid = regridding.make_grid(size, shape, box)
        labels = label(cropped, numbers, grid)
        times = math.prod(shape) / math.prod(size)
        mending = post_processing.on_finer(rules, times)
        return post_processing.apply(labels, mending)[..., 0]

    return of_scan


def _of_slices(
    label: Labeller, options: dict[str, Any], axis: str, rules: Rules, reach: int
) -> Label:
    def of_scan(scan: Scan) -> np.ndarray:
        slices = scans.slices(scans.resize(scan.image, square(scan, axis)), axis)
        found = np.zeros(scans.slices(scan.image[..., :1], axis).shape, np.uint8)
        grid = regridding.make_grid(slices.shape[1:3], found.shape[1:3])
        pictures = [np.ascontiguousarray(one) for one in slices]
        together = neighbours.together(["scan"] * len(pictures), reach)
        scaling = neighbours.join_scaling(
            _scaling(pictures, options, scan.missing), together
        )
        for place, numbers in enumerate(scaling):
            seen = neighbours.join([pictures[k] for k in together[place]])
            found[place] = label(seen, numbers, grid)
        found = post_processing.apply_to_slices(found, rules)
        return scans.from_slices(found[..., 0], axis)

    return of_scan


def square(scan: Scan, axis: str) -> tuple[int, ...]:
    """The shape in which the pixels of all slices are squares, as small as any side."""
    across = scans.AXES[axis]
    within = [mm for place, mm in enumerate(scan.spacing) if place != across]
    wanted = [min(within)] * 3
    wanted[across] = scan.spacing[across]
    return scans.resized_shape(scan.image.shape[:3], scan.spacing, wanted)


def _scaling(
    images: Sequence[Shaped[np.ndarray, "*space c"]],
    options: dict[str, Any],
    missing: Sequence[int],
) -> np.ndarray:
    """Of images of one scan, normalised together; missing channels are 0 after it.

    As training drops channels: of the normalised image.
    """
    there = [k for k in range(images[0].shape[-1]) if k not in missing]
    known = normalise.statistics(images, ["scan"] * len(images)).of_channels(there)
    numbers = np.zeros((len(images), 4, images[0].shape[-1]), np.float32)
    numbers[:, 3] = 1
    numbers[..., there] = normalise.scaling(known, **options)
    return numbers


def foreground_box(image: Shaped[np.ndarray, "z y x c"]) -> tuple[slice, ...]:
    """The smallest box that holds all voxels that are not 0; all of an empty image."""
    marked = image.any(axis=-1)
    if not marked.any():
        return tuple(slice(0, length) for length in marked.shape)
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(np.any(marked, axis=others))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def _training_windows(config: ConfigDict) -> Windows:
    """Of a run that scores whole volumes: what it was trained on is what it can see."""
    return Windows(
        tuple(config.data.patch or config.data.size), 0.5, 1, config.augment.fill
    )
