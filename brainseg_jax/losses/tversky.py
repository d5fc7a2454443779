"""Tversky loss: Dice with separate weights for false positives and false negatives."""

from jaxtyping import Array, Float, Shaped

from brainseg_jax.losses.parts import classes, soft_overlap


def loss(
    logits: Float[Array, "n *space c"],
    target: Shaped[Array, "n *_"],
    *,
    exclusive: bool,
    class_weights: tuple[float, ...] | None = None,
    alpha: float = 0.3,
    beta: float = 0.7,
    smooth: float = 1e-6,
) -> Float[Array, " n"]:
    """Alpha weighs false positives, beta false negatives; 0.5 each is Dice, 1 each IoU.

    Smooth counts as that many true positives. On an example without the class the loss is
    near 1, and flat, until the predicted area falls to about smooth: at 1e-6, the
    reference's value for whole batches, examples with empty masks give no gradient. A
    smooth of 1 or more, or cross_entropy beside it, makes them count.
    """
    counts = soft_overlap.soft_counts(logits, target, exclusive=exclusive)
    error = soft_overlap.tversky_error(counts, alpha=alpha, beta=beta, smooth=smooth)
    return classes.class_mean(error, class_weights)
