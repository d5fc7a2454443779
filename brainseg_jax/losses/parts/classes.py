"""Targets and means by class, for independent and for exclusive classes alike."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num, Shaped


def one_hot(
    target: Shaped[Array, "n *_"], logits: Float[Array, "n *space c"], exclusive: bool
) -> Float[Array, "n *space c"]:
    """The target as one map per class, in float32: the class's share of each position.

    Shares [n, *space, c] lie between 0 and 1. Exclusive classes may also come as integer
    labels [n, *space].

    Raises:
        ValueError: if the target's shape or type does not fit the logits.
    """
    if target.shape == logits.shape:
        return target.astype(jnp.float32)
    if not exclusive or target.shape != logits.shape[:-1]:
        kind = "exclusive" if exclusive else "independent"
        labels = f", or labels {logits.shape[:-1]}" if exclusive else ""
        raise ValueError(
            f"The target of {kind} classes has shape {target.shape}, but logits "
            f"{logits.shape} need {logits.shape}{labels}."
        )
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise ValueError(
            f"Labels of exclusive classes are integers, but the target is {target.dtype}."
        )
    return jax.nn.one_hot(target, logits.shape[-1], dtype=jnp.float32)


def space_mean(values: Num[Array, "n *space c"]) -> Float[Array, "n c"]:
    """Mean over all positions; without any (classification), the values themselves."""
    return values.mean(axis=tuple(range(1, values.ndim - 1)))


def class_mean(
    values: Float[Array, "n c"], class_weights: tuple[float, ...] | None
) -> Float[Array, " n"]:
    """Mean over classes, weighted by `class_weights` over their sum.

    Raises:
        ValueError: if the weights are not one per class, negative, or all zero.
    """
    if class_weights is None:
        return values.mean(axis=1)
    total = math.fsum(class_weights)
    if len(class_weights) != values.shape[1] or min(class_weights) < 0 or total == 0:
        raise ValueError(
            f"class_weights={tuple(class_weights)} must hold {values.shape[1]} "
            "numbers, none negative and not all zero: one per class."
        )
    # Not by a matrix product: GPUs and TPUs round its factors to as few as 8 bits.
    shares = jnp.asarray([weight / total for weight in class_weights])
    return (values * shares[None]).sum(axis=1)
