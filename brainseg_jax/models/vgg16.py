"""VGG16 (Simonyan and Zisserman 2014, arXiv 1409.1556): 13 convolutions, no norms."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from brainseg_jax.models.parts import (
    blocks,
    classifiers,
    convolutions,
    layers,
    options,
    preprocessing,
    resampling,
)

PREPROCESSING = {"caffe": preprocessing.CAFFE, "torch": preprocessing.TORCH}
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions, features


class Encoder(nn.Module):
    """Taps block1_conv2 to block5_conv3, at strides of 1 to 16.

    `axis_name` is there for the other encoders' sake: nothing here is normalised.
    """

    HALVINGS: ClassVar[int] = 0

    preprocessing: str = "none"
    kernel_init: str = "glorot_uniform"
    stages: int = 5
    train: bool = False
    remat: bool = False
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"], keys: blocks.Keys = None
    ) -> dict[str, Array]:
        style = layers.Style(
            norm="none",
            kernel_init=self.kernel_init,
            train=self.train,
            dtype=self.dtype,
        )
        image = preprocessing.preprocess(image, self.preprocessing, PREPROCESSING)
        image = image.astype(self.dtype)
        block, taps = layers.staged(Convolutions, self.remat), {}
        for stage, (repeats, features) in enumerate(STAGES[: self.stages], start=1):
            if stage > 1:
                image = resampling.max_pool(image)
            image = block(features, repeats, style, name=f"block{stage}")(image)
            taps[f"block{stage}_conv{repeats}"] = image
        return taps


class Model(classifiers.Classifier):
    """17,926,209 parameters at 224 x 224 x 3 and one output.

    With pool 4, hidden (512, 256, 128), dropout (.3, .1, 0) and head_init glorot_uniform,
    15,141,826 at 224 x 224 x 3 and two outputs. From random weights `encoder_init` has to
    be he_normal: Glorot's, Keras's default, halves the variance at each of 13 ReLUs, and
    nothing of the image reaches the head.
    """

    TITLE = "VGG16"

    pool: str | int = "flatten"
    hidden: tuple[int, ...] = (128,)
    head_init: str = "he_uniform"
    encoder_init: str = "glorot_uniform"

    def make_encoder(self, **given: Any) -> nn.Module:
        options.check_known(
            "encoder_init", self.encoder_init, (*convolutions.INITIALISERS,)
        )
        return Encoder(kernel_init=self.encoder_init, **given)

    def features(self, deepest: Float[Array, "n h w c"]) -> Array:
        """Pooled once more: the last of VGG16's five poolings follows its last tap."""
        return resampling.max_pool(deepest)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes its head small; the encoder comes in one size."""
    return {"pool": "global", "hidden": (8,), "dropout": (0.0,)}


_POOLED = {
    "pool": 4,
    "hidden": (512, 256, 128),
    "dropout": (0.3, 0.1, 0.0),
    "head_init": "glorot_uniform",
}
PUBLISHED = {
    "system 002, model 1": layers.Published(17_926_209, (224, 224, 3), 1),
    "system 002, model 2": layers.Published(15_141_826, (224, 224, 3), 2, _POOLED),
    "system 004": layers.Published(
        14_716_740,
        (150, 150, 3),
        4,
        {"pool": "global", "hidden": (), "dropout_before": 0.5},
    ),
}


class Convolutions(nn.Module):
    """3x3 convolutions, each with its ReLU."""

    features: int
    repeats: int
    style: layers.Style

    @nn.compact
    def __call__(self, image: Float[Array, "n h w c"]) -> Float[Array, "n h w f"]:
        for number in range(1, self.repeats + 1):
            image = nn.relu(self.style.conv(self.features, name=f"conv{number}")(image))
        return image
