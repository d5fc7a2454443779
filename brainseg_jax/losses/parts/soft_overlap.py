"""Soft counts of hits, false alarms and misses, and the overlap losses' error."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from brainseg_jax.losses.parts import classes

NOTHING = 1e-18  # positions; the square of less is no longer a float32


class SoftCounts(NamedTuple):
    """Sums of probabilities over an example's positions, per example and class."""

    hits: Float[Array, "n c"]
    false_alarms: Float[Array, "n c"]
    misses: Float[Array, "n c"]


def soft_counts(
    logits: Float[Array, "n *space c"],
    target: Shaped[Array, "n *_"],
    *,
    exclusive: bool,
) -> SoftCounts:
    """Counts per example and class, in float32 whatever the logits' type.

    A target may be a share of a position: the overlap of prediction and target is the
    smaller of the two, so that the counts of a target with itself are all hits (Wang
    et al. 2023, arXiv 2303.16296). For shares of 0 and 1 this is their product.
    """
    truth = classes.one_hot(target, logits, exclusive)
    logits = logits.astype(jnp.float32)
    if exclusive:
        probs = jax.nn.softmax(logits)
        complement = 1 - probs
    else:
        probs = jax.nn.sigmoid(logits)
        # Not 1 - probs, which is rounded to 0 from a logit of 17 on.
        complement = jax.nn.sigmoid(-logits)
    space = tuple(range(1, logits.ndim - 1))
    return SoftCounts(
        hits=jnp.minimum(probs, truth).sum(space),
        false_alarms=jnp.maximum(probs - truth, 0).sum(space),
        misses=jnp.maximum(complement - (1 - truth), 0).sum(space),
    )


def tversky_error(
    counts: SoftCounts, *, alpha: float, beta: float, smooth: float
) -> Float[Array, "n c"]:
    """1 - (hits + smooth) / (hits + alpha false_alarms + beta misses + smooth).

    Written over one denominator: near a perfect prediction the subtraction from 1 would
    leave nothing but rounding, or a negative number. Where prediction and truth are both
    empty, and nothing smooths, there is no error.
    """
    hits, false_alarms, misses = counts
    wrong = alpha * false_alarms + beta * misses
    total = hits + wrong + smooth
    some = total > NOTHING
    # Replaced before the division, since a `where` after it would let the nan through
    # backwards.
    return jnp.where(some, wrong, 0) / jnp.where(some, total, 1)


def power(base: Float[Array, "*s"], exponent: float) -> Float[Array, "*s"]:
    """base ** exponent for base >= 0, with gradient 0 at 0 for every exponent.

    Below 1 an exponent has an infinite slope at 0. An error's own slope in the logits
    falls to 0 faster, in proportion to the error, so their product tends to 0; only where
    the error is rounded to exactly 0 would it be 0 times infinity. The base is replaced
    before the power, since a `where` after it would let the nan through backwards.
    """
    positive = base > 0
    return jnp.where(positive, jnp.where(positive, base, 1) ** exponent, 0)
