"""Pixels of masks counted by their probability, where the class is and where it is not.

Of each class by itself, in narrow bins of the logit, so that no pixel has to be kept, and
what is counted of examples adds up to counts of patients and splits.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from brainseg_jax.metrics.overlap import AnyArray

# Which pixels count: all, those of the head, or none at all.
POLICIES = ("head", "all", "none")
AIR = 0.1  # of a channel's range from its darkest to its brightest pixel
LIMIT, WIDTH = 10.0, 0.05  # logits beyond the limit count as if there; of a bin
BINS = round(2 * LIMIT / WIDTH)
MIDDLES = (np.arange(BINS) + 0.5) * WIDTH - LIMIT


def tally(
    probs: Float[Array, "n *space c"],
    truth: Bool[Array, "n *space c"],
    counted: Bool[Array, "n *space"],
) -> Int[Array, "n c 2 b"]:
    """Of each example and class; compiled into the step that gives the probabilities."""
    probs = jnp.clip(probs, 1e-7, 1 - 1e-7)
    logits = jnp.log(probs) - jnp.log1p(-probs)
    place = jnp.clip(jnp.floor((logits + LIMIT) / WIDTH), 0, BINS - 1).astype(jnp.int32)
    place = jnp.where(truth, place + BINS, place)
    place = jnp.where(counted[..., None], place, 2 * BINS)  # beyond all that are kept
    flat = jnp.moveaxis(place, -1, 1).reshape(len(place), place.shape[-1], -1)
    count = jax.vmap(jax.vmap(lambda own: jnp.bincount(own, length=2 * BINS + 1)))
    return count(flat)[..., : 2 * BINS].reshape(*flat.shape[:2], 2, BINS)


def inside_head(image: Num[AnyArray, "n *space c"]) -> Bool[AnyArray, "n *space"]:
    """Where any channel is above air; images may be of numpy or of jax."""
    space = tuple(range(1, image.ndim - 1))
    low, high = image.min(space, keepdims=True), image.max(space, keepdims=True)
    return (image > low + AIR * (high - low)).any(-1)
