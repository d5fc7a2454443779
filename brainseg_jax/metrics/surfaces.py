"""The surface of a mask, by two definitions, each with what its elements weigh.

- voxels: those that erosion by a cross takes away, as MONAI and medpy have it: a voxel of
  the mask with a face towards what is not. All weigh the same.
- elements: the corners between voxels of which not all are alike, as surface-distance has
  it. Each weighs the area (in 2D the length) of the surface of marching cubes there.

Beyond the image there is nothing, in either.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from brainseg_jax.metrics import surface_areas


class Kind(NamedTuple):
    """A definition of a surface."""

    encode: Callable[..., UInt8[Array, "*grid"]]  # (mask, dimensions) -> codes
    weights: Callable[[Sequence[float]], Float[np.ndarray, " codes"]]  # 0: no surface


def border(mask: Bool[Array, "*grid"], dimensions: int) -> UInt8[Array, "*grid"]:
    """1 where a voxel of the mask has a neighbour, by a face, that is not of it."""
    ends = [(0, 0)] * (mask.ndim - dimensions) + [(1, 1)] * dimensions
    padded, inside = jnp.pad(mask, ends), mask
    for axis in range(mask.ndim - dimensions, mask.ndim):
        for start in (0, 2):
            inside &= _part(padded, mask.shape, axis, start)
    return (mask & ~inside).astype(jnp.uint8)


def corners(mask: Bool[Array, "*grid"], dimensions: int) -> UInt8[Array, "*larger"]:
    """At each corner which of the voxels around it are of the mask, a bit for each."""
    batch = mask.ndim - dimensions
    padded = jnp.pad(mask, [(0, 0)] * batch + [(1, 1)] * dimensions)
    code = jnp.zeros((), jnp.uint8)
    for starts in itertools.product((0, 1), repeat=dimensions):
        part = padded
        for place, start in enumerate(starts):
            size = mask.shape[batch + place] + 1
            part = _cut(part, batch + place, start, size)
        code = 2 * code + part.astype(jnp.uint8)
    return code


def _part(padded: Array, shape: Sequence[int], axis: int, start: int) -> Array:
    """What lies `start` - 1 further along one axis, on the unpadded grid."""
    for place, size in enumerate(shape):
        if padded.shape[place] != size:
            padded = _cut(padded, place, start if place == axis else 1, size)
    return padded


def _cut(array: Array, axis: int, start: int, size: int) -> Array:
    chosen = [slice(None)] * array.ndim
    chosen[axis] = slice(start, start + size)
    return array[tuple(chosen)]


def _alike(spacing: Sequence[float]) -> Float[np.ndarray, " codes"]:
    return np.array([0.0, 1.0])


def _areas(spacing: Sequence[float]) -> Float[np.ndarray, " codes"]:
    if len(spacing) == 3:
        return surface_areas.areas(spacing)
    return surface_areas.lengths(spacing)


KINDS = {"voxels": Kind(border, _alike), "elements": Kind(corners, _areas)}
