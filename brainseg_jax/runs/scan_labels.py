"""Labels of a scan on its own grid, by a model of volumes or of slices."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from brainseg_jax.data import scans
from brainseg_jax.inference import post_processing, regridding
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import experiment
from brainseg_jax.runs.predictor import (
    Labeller,
    make_labeller,
    make_volume_labeller,
)
from brainseg_jax.runs.restore import Restored
from brainseg_jax.runs.seen_scans import Slices, Volume

Label = Callable[[Volume | Slices], UInt8[np.ndarray, "z y x"]]


def make_label(restored: Restored, rules: Rules) -> Label:
    """The publisher's labels of what is seen of a scan, on the scan's own grid."""
    about = restored.record.about
    windows = experiment.windows_seen(about.settings)
    if about.info.dimensions == 2 or windows is None:
        of_slice = make_labeller(restored)
    else:
        of_slice = make_volume_labeller(restored, windows)

    def label(seen: Volume | Slices) -> np.ndarray:
        if isinstance(seen, Volume):
            return of_volume(of_slice, seen, rules)
        return of_slices(of_slice, seen, rules)

    return label


def of_volume(
    label: Labeller, seen: Volume, rules: Rules
) -> UInt8[np.ndarray, "z y x"]:
    """Mended by `rules`, whose sizes are of the voxels that the model sees."""
    labels = label(seen.image, seen.scaling, seen.grid)
    mending = post_processing.on_finer(rules, seen.finer)
    return post_processing.apply(labels, mending)[..., 0]


def of_slices(
    label: Labeller, seen: Slices, rules: Rules
) -> UInt8[np.ndarray, "z y x"]:
    """Slice by slice, mended together."""
    found = np.zeros((*seen.shape, 1), np.uint8)
    grid = regridding.make_grid(seen.images[0].shape[:2], seen.shape[1:])
    for place, numbers in enumerate(seen.scaling):
        found[place] = label(seen.seen(place), numbers, grid)
    found = post_processing.apply_to_slices(found, rules)
    return scans.from_slices(found[..., 0], seen.axis)
