"""Random changes of an image's intensities, by its key alone."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from brainseg_jax.data.drawing import symmetric

OPTIONS = ("low_resolution", "gamma", "contrast", "brightness", "noise")
RESOLUTION = 1  # folded into an image's key


def change(
    key: Key[Array, ""], image: Float[Array, "*space c"], options: Mapping[str, Any]
) -> Float[Array, "*space c"]:
    """One image: resolution, gamma, contrast, brightness, noise, in this order.

    Gamma is over the image's own range, contrast and brightness are per channel.
    """
    on, gamma, contrast, brightness, level, noise = jax.random.split(key, 6)
    space = tuple(range(image.ndim - 1))
    one = (1,) * len(space) + image.shape[-1:]  # a number per channel
    changed = image
    if options["low_resolution"]:
        # A key beside the others, which older runs drew alone.
        own = jax.random.fold_in(key, RESOLUTION)
        kept = 1 - options["low_resolution"] * jax.random.uniform(own)
        changed = coarsen(changed, kept)
    if options["gamma"]:
        low, high = changed.min(), changed.max()
        span = jnp.maximum(high - low, 1e-6)
        exponent = (1 + options["gamma"]) ** symmetric(gamma, 1.0)
        # Compiled, the least may come out below 0 by a rounding, and its power as NaN.
        share = jnp.maximum((changed - low) / span, 0)
        changed = low + span * share**exponent
    if options["contrast"]:
        mean = changed.mean(space, keepdims=True)
        factor = 1 + symmetric(contrast, options["contrast"], one)
        changed = mean + (changed - mean) * factor
    if options["brightness"]:
        size = options["brightness"] * image.std()
        changed = changed + symmetric(brightness, 1.0, one) * size
    if options["noise"]:
        size = options["noise"] * jax.random.uniform(level)
        changed = changed + size * jax.random.normal(noise, image.shape)
    applied = jax.random.bernoulli(on, options["probability"])
    return jnp.where(applied, changed, image)


def coarsen(
    image: Float[Array, "*space c"], kept: Float[Array, ""]
) -> Float[Array, "*space c"]:
    """The image as if scanned with a share `kept` of its resolution along each axis.

    Of pixels 1 / kept apart the nearest is taken, and between them interpolated linearly.
    """
    spacing = 1 / kept
    for axis in range(image.ndim - 1):
        size = image.shape[axis]
        place = jnp.arange(size) / spacing
        before = jnp.floor(place)
        ends = (
            jnp.round((before + k) * spacing).astype(jnp.int32).clip(0, size - 1)
            for k in (0, 1)
        )
        one, other = (jnp.take(image, end, axis=axis, mode="clip") for end in ends)
        share = (place - before).reshape(-1, *(1,) * (image.ndim - 1 - axis))
        share = share.reshape((1,) * axis + share.shape)
        image = one + (other - one) * share
    return image


def drop_channels(
    key: Key[Array, ""], image: Float[Array, "*space c"], chance: float
) -> Float[Array, "*space c"]:
    """Each channel becomes 0 by this chance, but one at least stays."""
    channels, fallen, spared = image.shape[-1], *jax.random.split(key)
    kept = jax.random.bernoulli(fallen, 1 - chance, (channels,))
    last = jnp.arange(channels) == jax.random.randint(spared, (), 0, channels)
    kept = jnp.where(kept.any(), kept, last)
    return jnp.where(kept.reshape((1,) * (image.ndim - 1) + (channels,)), image, 0)
