"""Random moves of volumes: where each voxel comes from, and what is found there."""

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from brainseg_jax.data.drawing import symmetric

FLIPS = ("flip_depth", "flip_vertical", "flip_horizontal")
AXES = ((1, 2), (0, 2), (0, 1))  # the plane that each rotation turns


def random_affine(
    key: Key[Array, ""], shape: tuple[int, ...], options: Mapping[str, Any]
) -> Float[Array, "3 4"]:
    """Where each output voxel comes from, in voxels around the volume's middle.

    Rotated about each of the three axes by an angle of its own, scaled alike along all,
    shifted and flipped along each.
    """
    on, turn, zoom, shift, flip = jax.random.split(key, 5)
    angles = jnp.deg2rad(options["rotation"]) * symmetric(turn, 1.0, (3,))
    rotations = [_rotation(angles[k], plane) for k, plane in enumerate(AXES)]
    chances = jnp.array([options[name] for name in FLIPS], jnp.float32)
    signs = 1 - 2 * jax.random.bernoulli(flip, chances).astype(jnp.float32)
    size = 1 / (1 + options["scale"] * symmetric(zoom, 1.0))
    matrix = size * functools.reduce(_product, rotations) * signs[None]
    moved = options["shift"] * jnp.array(shape) * symmetric(shift, 1.0, (3,))
    affine = jnp.concatenate([matrix, moved[:, None]], axis=1)
    changed = jax.random.bernoulli(on, options["probability"])
    return jnp.where(changed, affine, jnp.eye(3, 4))


def sample_linear(
    image: Float[Array, "d h w c"],
    affine: Float[Array, "3 4"],
    outside: Float[Array, " c"] | None = None,
) -> Float[Array, "d h w c"]:
    """Trilinear; beyond the edge each channel is `outside`, or None: the edge goes on."""
    sources = _sources(image.shape[:3], affine)
    inside = _clip(sources, image.shape)
    low = jnp.floor(inside)
    share = inside - low
    sampled = jnp.zeros((inside.shape[1], image.shape[-1]), image.dtype)
    for corner in itertools.product((0, 1), repeat=3):
        upper = jnp.array(corner)[:, None] == 1
        weight = jnp.where(upper, share, 1 - share).prod(0)
        voxel = _clip(low + jnp.array(corner, low.dtype)[:, None], image.shape)
        sampled = sampled + weight[:, None] * _take(image, voxel)
    return _fill(sampled, sources, inside, outside).reshape(image.shape)


def sample_nearest(
    maps: Float[Array, "d h w c"],
    affine: Float[Array, "3 4"],
    outside: Float[Array, " c"] | None = None,
) -> Float[Array, "d h w c"]:
    """The nearest voxel, so that what is 0 or 1 stays so; `outside` as above."""
    sources = _sources(maps.shape[:3], affine)
    inside = _clip(sources, maps.shape)
    sampled = _take(maps, jnp.round(inside))
    return _fill(sampled, sources, inside, outside).reshape(maps.shape)


def _rotation(angle: Float[Array, ""], plane: tuple[int, int]) -> Float[Array, "3 3"]:
    first, second = plane
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    turned = jnp.eye(3).at[first, first].set(cosine).at[second, second].set(cosine)
    return turned.at[first, second].set(-sine).at[second, first].set(sine)


def _product(one: Float[Array, "3 3"], other: Float[Array, "3 3"]) -> Array:
    """Of matrices, written out: GPUs and TPUs round a product's factors to few bits."""
    return (one[:, :, None] * other[None]).sum(1)


def _sources(
    shape: tuple[int, ...], affine: Float[Array, "3 4"]
) -> Float[Array, "3 p"]:
    """The place that each output voxel comes from, voxels in reading order."""
    middle = (jnp.array(shape, jnp.float32) - 1) / 2
    grid = jnp.stack(jnp.meshgrid(*map(jnp.arange, shape), indexing="ij"))
    away = grid.reshape(3, -1).astype(jnp.float32) - middle[:, None]
    turned = sum(affine[:, k, None] * away[None, k] for k in range(3))
    return turned + (affine[:, 3] + middle)[:, None]


def _clip(places: Float[Array, "3 p"], shape: tuple[int, ...]) -> Float[Array, "3 p"]:
    last = jnp.array(shape[:3], places.dtype)[:, None] - 1
    return jnp.clip(places, 0, last)


def _take(maps: Float[Array, "d h w c"], voxel: Float[Array, "3 p"]) -> Array:
    _, height, width, channels = maps.shape
    plane, row, column = voxel.astype(jnp.int32)
    place = (plane * height + row) * width + column
    return maps.reshape(-1, channels).at[place].get(mode="promise_in_bounds")


def _fill(
    sampled: Float[Array, "p c"],
    sources: Float[Array, "3 p"],
    inside: Float[Array, "3 p"],
    outside: Float[Array, " c"] | None,
) -> Float[Array, "p c"]:
    if outside is None:
        return sampled
    beyond = (jnp.abs(sources - inside) > 0.5).any(0)
    return jnp.where(beyond[:, None], outside[None], sampled)
