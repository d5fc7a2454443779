"""Focal loss: cross-entropy with less weight on what is already predicted well."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from brainseg_jax.losses.parts import classes, soft_overlap


def loss(
    logits: Float[Array, "n *space c"],
    target: Shaped[Array, "n *_"],
    *,
    exclusive: bool,
    class_weights: tuple[float, ...] | None = None,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Float[Array, " n"]:
    """Mean over positions of -alpha (1 - p(truth)) ** gamma log p(truth).

    For sigmoids alpha weighs the positive side and 1 - alpha the negative, as in the
    paper. For a softmax it multiplies all classes alike; system 001's 3-D form is alpha
    0.25 there, and a quarter of it, as it also averages over four classes.
    """
    truth = classes.one_hot(target, logits, exclusive)
    logits = logits.astype(jnp.float32)
    if exclusive:
        log_probs = jax.nn.log_softmax(logits)
        discount = soft_overlap.power(-jnp.expm1(log_probs), gamma)
        # Each position has one true class, so the mean over classes is 1/c too small.
        scale = logits.shape[-1] * (1.0 if alpha is None else alpha)
        surprise = -scale * truth * discount * log_probs
    else:
        positive, negative = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        surprise = positive * truth * _sigmoid_term(logits, gamma)
        surprise += negative * (1 - truth) * _sigmoid_term(-logits, gamma)
    return classes.class_mean(classes.space_mean(surprise), class_weights)


def _sigmoid_term(logits: Float[Array, "*s"], gamma: float) -> Float[Array, "*s"]:
    """-(1 - p) ** gamma log p, by logarithms: nothing overflows, no slope is infinite."""
    return -jnp.exp(gamma * jax.nn.log_sigmoid(-logits)) * jax.nn.log_sigmoid(logits)
