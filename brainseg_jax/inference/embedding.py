"""An image as a vector: the mean of a net's deepest features over all positions."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Num

from brainseg_jax.data import normalise
from brainseg_jax.models.parts import bottleneck

Variables = dict[str, Any]
AnyArray = Any  # of jax or of numpy


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
    return of_length_1(means(variables, image, scaling, model=model))


def means(
    variables: Variables,
    image: Num[Array, "n *space c"],
    scaling: Float[Array, "n 4 c"],
    *,
    model: nn.Module,
) -> Float[Array, "n f"]:
    """The same as they are: of windows that their mean is to be taken of."""
    found = features(variables, normalise.apply(image, scaling), model=model)
    return found.astype(jnp.float32).mean(tuple(range(1, found.ndim - 1)))


def of_length_1(vectors: Float[AnyArray, "n f"]) -> Float[Array, "n f"]:
    """In the same direction; 0 stays 0."""
    length = jnp.sqrt((vectors**2).sum(-1, keepdims=True))
    return vectors / jnp.where(length > 0, length, 1)


def joined(members: Sequence[Float[AnyArray, "n f"]]) -> Float[Array, "n g"]:
    """Of several nets one vector of length 1, whose cosine is the mean of their cosines.

    Features of different nets have nothing to do with each other: each net's are compared
    with its own alone.
    """
    return jnp.concatenate(list(members), -1) / len(members) ** 0.5
