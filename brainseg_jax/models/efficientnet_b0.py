"""EfficientNetB0 as Keras has it, with its built-in normalisation of the image."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from brainseg_jax.models.parts import (
    blocks,
    classifiers,
    efficientnet,
    layers,
    preprocessing,
)

# Keras divides by these after its normalisation layer when it loads ImageNet weights,
# for there the layer has deviations in place of variances.
PREPROCESSING = {
    "imagenet": preprocessing.Preprocessing(
        (0.0, 0.0, 0.0), (0.229**0.5, 0.224**0.5, 0.225**0.5)
    )
}


class Encoder(nn.Module):
    """Taps block2a_expand_activation to top_activation, at strides of 2 to 32."""

    HALVINGS: ClassVar[int] = 1

    preprocessing: str = "none"
    drop_connect: float = 0.2
    stages: int = 5
    train: bool = False
    remat: bool = False
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"], keys: blocks.Keys = None
    ) -> dict[str, Array]:
        image = Normalization(name="normalization")(image)
        image = preprocessing.preprocess(image, self.preprocessing, PREPROCESSING)
        return efficientnet.take_taps(
            image,
            keys,
            efficientnet.make_style("silu", self.train, self.dtype, self.axis_name),
            squeeze=0.25,
            drop_connect=self.drop_connect,
            stages=self.stages,
            remat=self.remat,
        )


class Model(classifiers.Classifier):
    """4,054,695 parameters at four outputs and any size, statistics included.

    Seven of them are the built-in normalisation's.
    """

    TITLE = "EfficientNetB0"

    dropout_before: float = 0.5
    drop_connect: float = 0.2

    def make_encoder(self, **options: Any) -> nn.Module:
        return Encoder(drop_connect=self.drop_connect, **options)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing: it comes in one size."""
    return {}


PUBLISHED = {"system 004": layers.Published(4_054_695, (150, 150, 3), 4)}


class Normalization(nn.Module):
    """(image - mean) / sqrt(var) per channel, by constants that no training moves.

    They are weights of Keras's layer of this name, its count among them, and are kept
    where batch statistics are: nothing changes the image until some are loaded.
    """

    @nn.compact
    def __call__(self, image: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        channels = image.shape[-1]
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
        var = self.variable("batch_stats", "var", jnp.ones, channels)
        self.variable("batch_stats", "count", jnp.zeros, ())
        shape = (1, 1, 1, channels)
        deviation = jnp.sqrt(var.value).reshape(shape)
        return (image.astype(jnp.float32) - mean.value.reshape(shape)) / deviation
