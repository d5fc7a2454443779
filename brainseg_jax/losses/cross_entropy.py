"""Cross-entropy from logits, for masks and for whole images."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from brainseg_jax.losses.parts import classes


def loss(
    logits: Float[Array, "n *space c"],
    target: Shaped[Array, "n *_"],
    *,
    exclusive: bool,
    class_weights: tuple[float, ...] | None = None,
) -> Float[Array, " n"]:
    """Mean over positions of -log p(truth); sigmoids are averaged over classes as well.

    With a softmax, a position counts by the weight of its true class over the mean
    weight. Not over the sum of the example's own weights, which would cancel the weight
    of a whole image.
    """
    truth = classes.one_hot(target, logits, exclusive)
    logits = logits.astype(jnp.float32)
    if exclusive:
        surprise = -truth * jax.nn.log_softmax(logits)
        # Each position has one true class, so the mean over classes is 1/c too small.
        surprise *= logits.shape[-1]
    else:
        surprise = -truth * jax.nn.log_sigmoid(logits)
        surprise -= (1 - truth) * jax.nn.log_sigmoid(-logits)
    return classes.class_mean(classes.space_mean(surprise), class_weights)
