"""An image as a vector: the mean of a net's deepest features over all positions."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Num

from brainseg_jax.data import normalise
from brainseg_jax.models.parts import bottleneck

Variables = dict[str, Any]


def features(
    variables: Variables, image: Float[Array, "n *space c"], *, model: nn.Module
) -> Float[Array, "n *small f"]:
    """The deepest features of normalised images: see models/parts/bottleneck.py."""
    _, others = model.apply(variables, image, mutable=bottleneck.SEEN)
    return bottleneck.seen(others)


def embed(
    variables: Variables,
    image: Num[Array, "n *space c"],
    scaling: Float[Array, "n 4 c"],
    *,
    model: nn.Module,
) -> Float[Array, "n f"]:
    """Of stored images at the model's size, of length 1; 0 where all features are 0."""
    found = features(variables, normalise.apply(image, scaling), model=model)
    space = tuple(range(1, found.ndim - 1))
    means = found.astype(jnp.float32).mean(space)
    length = jnp.sqrt((means**2).sum(-1, keepdims=True))
    return means / jnp.where(length > 0, length, 1)
