"""From a file's own order of voxels to the stored one and back, every voxel kept.

Stored arrays are [z, y, x, ...]: from below upwards, from behind forwards, from left to
right, the nearest to RAS+ that turning axes by right angles gives. Only the box is stored
that holds what is not 0; `Place` says where it lies in the whole, and how the file was
oriented.
"""

from collections.abc import Sequence
from typing import NamedTuple

import nibabel
import numpy as np
from jaxtyping import Float64, Shaped
from nibabel import orientations

STORED_AXES = "RAS"  # of the whole grid as x, y, z


class Place(NamedTuple):
    """Where a stored array lies; shapes are in the order z, y, x."""

    offset: tuple[int, ...]  # of its first voxel in the whole
    full_shape: tuple[int, ...]
    axes: str  # of the file, such as LPS: where its first, second and third axis point
    affine: Float64[np.ndarray, "4 4"]  # of the whole, from x, y, z to mm

    @property
    def spacing(self) -> tuple[float, ...]:
        """Millimetres along z, y, x."""
        return tuple(nibabel.affines.voxel_sizes(self.affine)[::-1].tolist())


def to_stored(
    voxels: Shaped[np.ndarray, "i j k"], affine: Float64[np.ndarray, "4 4"]
) -> tuple[Shaped[np.ndarray, "z y x"], Place]:
    """The whole grid, not yet cropped."""
    turn = orientations.io_orientation(affine)
    turned = orientations.apply_orientation(voxels, turn)
    whole = np.ascontiguousarray(turned.transpose(2, 1, 0))
    place = Place(
        offset=(0, 0, 0),
        full_shape=whole.shape,
        axes="".join(nibabel.aff2axcodes(affine)),
        affine=affine @ orientations.inv_ornt_aff(turn, voxels.shape),
    )
    return whole, place


def foreground_box(*maps: Shaped[np.ndarray, "z y x"]) -> tuple[slice, ...]:
    """The smallest box that holds all voxels of all maps that are not 0; or one voxel."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        there = np.any([one.any(others) for one in maps], axis=0)
        places = np.flatnonzero(there)
        start, stop = (places[0], places[-1] + 1) if len(places) else (0, 1)
        box.append(slice(int(start), int(stop)))
    return tuple(box)


def uncrop(
    array: Shaped[np.ndarray, "z y x *c"],
    offset: Sequence[int],
    full_shape: Sequence[int],
    fill: float = 0,
) -> Shaped[np.ndarray, "Z Y X *c"]:
    """The whole grid, `fill` outside of what was stored."""
    whole = np.full((*full_shape, *array.shape[3:]), fill, array.dtype)
    ends = zip(offset, array.shape, strict=False)
    whole[tuple(slice(start, start + size) for start, size in ends)] = array
    return whole


def to_file(
    array: Shaped[np.ndarray, "z y x *c"], place: Place, fill: float = 0
) -> Shaped[np.ndarray, "i j k *c"]:
    """A stored array, or another on its grid such as a prediction, in the file's order."""
    whole = uncrop(array, place.offset, place.full_shape, fill)
    straight = np.moveaxis(whole, (0, 1, 2), (2, 1, 0))
    return orientations.apply_orientation(straight, _turn_back(place.axes))


def file_affine(place: Place) -> Float64[np.ndarray, "4 4"]:
    """The affine of the file, to rounding."""
    shape = place.full_shape[::-1]
    return place.affine @ orientations.inv_ornt_aff(_turn_back(place.axes), shape)


def _turn_back(axes: str) -> np.ndarray:
    """How the whole grid's axes become the file's."""
    wanted, own = (orientations.axcodes2ornt(tuple(one)) for one in (axes, STORED_AXES))
    return orientations.ornt_transform(own, wanted)
