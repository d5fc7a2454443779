"""A scan as a model sees it: a volume at the spacing of training, or slice by slice.

A model of volumes sees a scan cropped to what is not 0, as prepared volumes are.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Shaped

from brainseg_jax.data import modalities, neighbours, normalise, scans
from brainseg_jax.data.modalities import Case
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference import regridding
from brainseg_jax.inference.regridding import Grid
from brainseg_jax.runs.records import About


class Volume(NamedTuple):
    """What a model of volumes sees of a scan, and the scan's own grid."""

    image: Shaped[np.ndarray, "z y x c"]
    scaling: Float32[np.ndarray, "4 c"]
    grid: Grid
    finer: float  # how many voxels the scan has for each of these


class Slices(NamedTuple):
    """What a model of slices sees of a scan, and how they lie in it."""

    images: Sequence[Shaped[np.ndarray, "h w c"]]  # their pixels are squares
    together: Int32[np.ndarray, "n s"]  # places of those that each is seen with
    scaling: Float32[np.ndarray, "n 4 d"]
    shape: tuple[int, int, int]  # of the scan's own slices
    axis: str

    def seen(self, place: int) -> Shaped[np.ndarray, "h w d"]:
        """A slice with those next to it."""
        return neighbours.join([self.images[k] for k in self.together[place]])


See = Callable[[Scan], Volume | Slices]


def cases_of(found: Sequence[Path], about: About) -> list[Case]:
    """Which files are one scan of the sequences that the model takes."""
    return modalities.group_cases(
        found,
        about.info.channels,
        about.info.all_channels,
        may_lack=about.settings.augment.channel_dropout > 0,
    )


def read(case: Case, about: About) -> Scan:
    """In the numbers that the model was trained on.

    Raises:
        UnreadableImage: naming the file and what is wrong with it.
    """
    return scans.in_dtype(scans.read(case, about.info.channels), about.info.dtype)


def make_see(about: About, axis: str) -> See:
    """A model of slices sees them along `axis`, one of scans.AXES."""
    options = about.config["data"]["normalisation"]
    if about.info.dimensions == 2:
        reach = about.settings.data.neighbours
        return lambda scan: as_slices(scan, axis, options, reach)
    return lambda scan: as_volume(scan, about.info.spacing, options)


def as_volume(scan: Scan, spacing: Sequence[float], options: dict[str, Any]) -> Volume:
    """At another spacing; (): at its own."""
    shape = scan.image.shape[:3]
    size = scans.resized_shape(shape, scan.spacing, spacing or scan.spacing)
    image = scans.resize(scan.image, size)
    box = foreground_box(image)
    cropped = image[box]
    return Volume(
        cropped,
        scaling([cropped], options, scan.missing)[0],
        regridding.make_grid(size, shape, box),
        math.prod(shape) / math.prod(size),
    )


def as_slices(scan: Scan, axis: str, options: dict[str, Any], reach: int) -> Slices:
    """Along an axis, each with `reach` before and after it."""
    own = scans.slices(scan.image[..., 0], axis).shape
    pictures = _square_slices(scan, axis)
    together = neighbours.together(["scan"] * len(pictures), reach)
    numbers = scaling(pictures, options, scan.missing)
    joined = neighbours.join_scaling(numbers, together)
    return Slices(pictures, together, joined, own, axis)


def _square_slices(scan: Scan, axis: str) -> list[Shaped[np.ndarray, "h w c"]]:
    """The pixels of all slices are squares, as small as any side."""
    across = scans.AXES[axis]
    within = [mm for place, mm in enumerate(scan.spacing) if place != across]
    wanted = [min(within)] * 3
    wanted[across] = scan.spacing[across]
    shape = scans.resized_shape(scan.image.shape[:3], scan.spacing, wanted)
    image = scans.resize(scan.image, shape)
    return [np.ascontiguousarray(one) for one in scans.slices(image, axis)]


def scaling(
    images: Sequence[Shaped[np.ndarray, "*space c"]],
    options: dict[str, Any],
    missing: Sequence[int],
) -> Float32[np.ndarray, "n 4 c"]:
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
