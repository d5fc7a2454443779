"""EfficientNetB0 as Keras has it, with its built-in normalisation of the image."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models import blocks, efficientnet, layers, preprocessing

# Keras divides by these after its normalisation layer when it loads ImageNet weights,
# for there the layer has deviations in place of variances.
PREPROCESSING = {
    "imagenet": preprocessing.Preprocessing(
        (0.0, 0.0, 0.0), (0.229**0.5, 0.224**0.5, 0.225**0.5)
    )
}


class Encoder(nn.Module):
    """Taps block2a_expand_activation to top_activation, at strides of 2 to 32."""

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
        return efficientnet.encode(
            image,
            keys,
            efficientnet.make_style("silu", self.train, self.dtype, self.axis_name),
            squeeze=0.25,
            drop_connect=self.drop_connect,
            stages=self.stages,
            remat=self.remat,
        )


class Model(nn.Module):
    """4,054,695 parameters at four outputs and any size, statistics included.

    Seven of them are the built-in normalisation's.
    """

    outputs: int
    preprocessing: str = "none"
    drop_connect: float = 0.2
    pool: str | int = "global"
    hidden: tuple[int, ...] = ()
    dropout: tuple[float, ...] = (0.0,)
    dropout_before: float = 0.5
    head_init: str = "glorot_uniform"
    remat: bool = False  # compute each block again in the backward pass: less memory
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n h w c"],
        *,
        train: bool = False,
        keys: Key[Array, " n"] | None = None,
    ) -> Float[Array, "n outputs"]:
        layers.check_pooled(image, 32, self.pool, "EfficientNetB0")
        encoder = Encoder(
            self.preprocessing,
            self.drop_connect,
            train=train,
            remat=self.remat,
            dtype=self.dtype,
            axis_name=self.axis_name,
            name="encoder",
        )
        head = blocks.Head(
            self.outputs,
            layers.Style(kernel_init=self.head_init, train=train, dtype=self.dtype),
            self.pool,
            self.hidden,
            self.dropout,
            self.dropout_before,
            name="head",
        )
        return head(encoder(image, keys)["top_activation"], keys)


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
