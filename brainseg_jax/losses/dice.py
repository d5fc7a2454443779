"""Soft Dice loss."""

from jaxtyping import Array, Float, Shaped

from brainseg_jax.losses.parts import classes, soft_overlap


def loss(
    logits: Float[Array, "n *space c"],
    target: Shaped[Array, "n *_"],
    *,
    exclusive: bool,
    class_weights: tuple[float, ...] | None = None,
    smooth: float = 1.0,
) -> Float[Array, " n"]:
    """1 - (2 hits + smooth) / (predicted + true + smooth), the areas being soft."""
    counts = soft_overlap.soft_counts(logits, target, exclusive=exclusive)
    # Predicted + true is 2 hits + false alarms + misses: Tversky with equal weights, after
    # halving both sides of the fraction.
    error = soft_overlap.tversky_error(counts, alpha=0.5, beta=0.5, smooth=smooth / 2)
    return classes.class_mean(error, class_weights)
