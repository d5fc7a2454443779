"""Exact Euclidean distances to the nearest voxel of a mask, in JAX: on any device.

Along the first axis positions are counted from the last and to the next of the mask. Then,
axis by axis, the squared distance at i becomes the least of that at j plus the square of
the way from j to i: the lower envelope of as many parabolas as there are j. No j is left
out, so that it is exact, and nothing depends on the mask, so that it compiles. A line of n
positions costs n ** 2 steps of the simplest kind. On a CPU lines go in blocks that stay in
its cache; beside mask and result about five copies of them are held.

Squares are of 32 bits: exact for whole spacings, to about 1e-7 of the distance for others.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

BLOCK = 2**15  # numbers at a time on a CPU
TOGETHER = 16  # positions j of a sweep; of 8, XLA makes a slower loop


def distances(
    mask: Bool[Array, "*grid"], spacing: Float[Array, " d"]
) -> Float[Array, "*grid"]:
    """To the nearest True of the last d axes, 0 there; infinite where there is none.

    Axes before those are of a batch. With one spacing for each of d axes it equals
    scipy.ndimage.distance_transform_edt(~mask, spacing).
    """
    first = mask.ndim - len(spacing)
    squared = (spacing[0] * _counted(mask, first)) ** 2
    for place in range(1, len(spacing)):
        squared = _along(squared, first + place, spacing[place])
    return jnp.sqrt(squared)


def _counted(mask: Bool[Array, "*grid"], axis: int) -> Float[Array, "*grid"]:
    """How many positions along an axis the nearest True is away."""
    lines = jnp.moveaxis(mask, axis, 0)
    start = jnp.full(lines.shape[1:], jnp.inf, jnp.float32)

    def step(away: Array, there: Array) -> tuple[Array, Array]:
        away = jnp.where(there, 0.0, away + 1)
        return away, away

    _, behind = jax.lax.scan(step, start, lines)
    _, ahead = jax.lax.scan(step, start, lines, reverse=True)
    return jnp.moveaxis(jnp.minimum(behind, ahead), 0, axis)


def _along(
    squared: Float[Array, "*grid"], axis: int, step: Float[Array, ""]
) -> Float[Array, "*grid"]:
    moved = jnp.moveaxis(squared, axis, 0)
    lines = moved.reshape(len(moved), -1)
    found = jax.lax.platform_dependent(
        lines, step, cpu=_envelope_in_blocks, default=_envelope
    )
    return jnp.moveaxis(found.reshape(moved.shape), 0, axis)


def _envelope_in_blocks(
    lines: Float[Array, "n m"], step: Float[Array, ""]
) -> Float[Array, "n m"]:
    n, count = lines.shape
    width = max(1, min(count, BLOCK // n))
    blocks = -(-count // width)
    padded = jnp.pad(lines, ((0, 0), (0, blocks * width - count)))
    parts = jnp.moveaxis(padded.reshape(n, blocks, width), 1, 0)
    found = jax.lax.map(functools.partial(_envelope, step=step), parts)
    return jnp.moveaxis(found, 0, 1).reshape(n, -1)[:, :count]


def _envelope(
    lines: Float[Array, "n m"], step: Float[Array, ""]
) -> Float[Array, "n m"]:
    """At every i of a column the least over j of lines[j] + (step * (i - j)) ** 2."""
    n = len(lines)
    sweeps = -(-n // TOGETHER)
    rest = ((0, sweeps * TOGETHER - n), (0, 0))
    padded = jnp.pad(lines, rest, constant_values=jnp.inf)
    places = jnp.arange(n)

    def sweep(number: Array, best: Array) -> Array:
        first = number * TOGETHER
        sources = jax.lax.dynamic_slice_in_dim(padded, first, TOGETHER)
        for k in range(TOGETHER):
            way = step * (places - first - k)
            there = sources[k][None] + (way * way)[:, None]
            # Nothing is nan here, which jnp.minimum would ask of each at half the speed.
            best = jnp.where(there < best, there, best)
        return best

    return jax.lax.fori_loop(0, sweeps, sweep, jnp.full_like(lines, jnp.inf))
