"""Focal Tversky loss: the Tversky error to a power, per class."""

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
    gamma: float = 0.75,
    smooth: float = 1e-6,
) -> Float[Array, " n"]:
    """(1 - Tversky) ** gamma. Alpha, beta and smooth are those of losses/tversky.py.

    A gamma below 1 keeps the gradient large for examples that are nearly right. At an error
    of exactly 0 the gradient is 0, its limit: losses/parts/soft_overlap.py, power.
    """
    counts = soft_overlap.soft_counts(logits, target, exclusive=exclusive)
    error = soft_overlap.tversky_error(counts, alpha=alpha, beta=beta, smooth=smooth)
    return classes.class_mean(soft_overlap.power(error, gamma), class_weights)
