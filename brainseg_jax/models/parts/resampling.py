"""Halving and doubling images of two or three axes, without parameters."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def max_pool(image: Float[Array, "n *space c"]) -> Float[Array, "n *half c"]:
    """Largest of each 2x2 (or 2x2x2) window; an odd last row or column is dropped.

    The maximum of strided slices has a faster gradient than nn.max_pool, which gives
    it all to the first of equal pixels; here equal pixels share it.
    """
    for axis in range(1, image.ndim - 1):
        even = image.shape[axis] // 2 * 2
        halves = (
            jax.lax.slice_in_dim(image, start, even, 2, axis=axis) for start in (0, 1)
        )
        image = jnp.maximum(*halves)
    return image


def upsample_nearest(image: Float[Array, "n *space c"]) -> Float[Array, "n *double c"]:
    """Repeats every pixel twice along every spatial axis."""
    for axis in range(1, image.ndim - 1):
        image = jnp.repeat(image, 2, axis=axis)
    return image


def upsample_linear(image: Float[Array, "n *space c"]) -> Float[Array, "n *double c"]:
    """Doubles every spatial axis by linear interpolation between pixel centres.

    Every new pixel is three quarters of the nearest old one and a quarter of the next;
    beyond the edge the edge goes on. The same as jax.image.resize(..., "linear").
    """
    for axis in range(1, image.ndim - 1):
        first, last = (
            jax.lax.slice_in_dim(image, start, start + 1, axis=axis)
            for start in (0, image.shape[axis] - 1)
        )
        inner = functools.partial(jax.lax.slice_in_dim, image, axis=axis)
        before = jnp.concatenate([first, inner(0, image.shape[axis] - 1)], axis)
        after = jnp.concatenate([inner(1, image.shape[axis]), last], axis)
        pair = (0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after)
        shape = (*image.shape[:axis], -1, *image.shape[axis + 1 :])
        image = jnp.stack(pair, axis + 1).reshape(shape)
    return image
