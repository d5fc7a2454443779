"""ResNet50 (He et al. 2015, arXiv 1512.03385), as Keras or as torchvision has it."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from brainseg_jax.models.parts import (
    blocks,
    classifiers,
    layers,
    options,
    preprocessing,
)

PREPROCESSING = {"caffe": preprocessing.CAFFE, "torch": preprocessing.TORCH}
STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))  # blocks, features


class Variant(NamedTuple):
    """Where two libraries differ; `late` is halving in a block's 3x3, not its first 1x1."""

    late: bool
    bias: bool
    momentum: float
    epsilon: float


VARIANTS = {
    "keras": Variant(late=False, bias=True, momentum=0.99, epsilon=1.001e-5),
    "torchvision": Variant(late=True, bias=False, momentum=0.9, epsilon=1e-5),
}


class Encoder(nn.Module):
    """Taps conv1_relu to conv5_block3_out, at strides of 2 to 32."""

    HALVINGS: ClassVar[int] = 1

    preprocessing: str = "none"
    variant: str = "keras"  # or torchvision
    stages: int = 5
    train: bool = False
    remat: bool = False
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"], keys: blocks.Keys = None
    ) -> dict[str, Array]:
        options.check_known("variant", self.variant, (*VARIANTS,))
        variant = VARIANTS[self.variant]
        style = layers.Style(
            bias=variant.bias,
            momentum=variant.momentum,
            epsilon=variant.epsilon,
            train=self.train,
            dtype=self.dtype,
            axis_name=self.axis_name,
        )
        image = preprocessing.preprocess(image, self.preprocessing, PREPROCESSING)

        image = style.conv(64, 7, strides=2, padding=3, name="conv1_conv")(image)
        image = nn.relu(style.normalise(image, "conv1_bn", of="conv1_conv"))
        taps = {"conv1_relu": image}
        block = layers.staged(Bottleneck, self.remat)
        for stage, (repeats, features) in enumerate(STAGES[: self.stages - 1], start=2):
            if stage == 2:
                image = max_pool_3x3(image)
            for number in range(1, repeats + 1):
                name = f"conv{stage}_block{number}"
                strides = 2 if number == 1 and stage > 2 else 1
                image = block(
                    features, strides, number == 1, variant.late, style, name=name
                )(image)
            taps[f"{name}_out"] = image
        return taps


class Model(classifiers.Classifier):
    """25,784,066 parameters at 256 x 256 x 3 and two outputs, statistics included.

    27,980,162 with hidden (512, 256, 256) and dropout (.4, .4, .3), as deployed;
    25,751,426 with hidden (256, 256).
    """

    TITLE = "ResNet50"

    pool: str | int = 4
    hidden: tuple[int, ...] = (256, 256, 128)
    dropout: tuple[float, ...] = (0.3,)
    variant: str = "keras"

    def make_encoder(self, **options: Any) -> nn.Module:
        return Encoder(variant=self.variant, **options)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes its head small; the encoder comes in one size."""
    return {"pool": "global", "hidden": (8,), "dropout": (0.0,)}


PUBLISHED = {
    "system 002": layers.Published(25_784_066, (256, 256, 3), 2),
    "system 002, deployed": layers.Published(
        27_980_162,
        (256, 256, 3),
        2,
        {"hidden": (512, 256, 256), "dropout": (0.4, 0.4, 0.3)},
    ),
    "system 003": layers.Published(
        25_751_426, (256, 256, 3), 2, {"hidden": (256, 256)}
    ),
}


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions added to the image, or to a 1x1 `projection` of it."""

    features: int
    strides: int
    projection: bool
    late: bool
    style: layers.Style

    @nn.compact
    def __call__(self, image: Float[Array, "n h w c"]) -> Array:
        conv, normalise = self.style.conv, self.style.normalise
        wide, short = 4 * self.features, image
        if self.projection:
            short = conv(wide, 1, strides=self.strides, name="0_conv")(image)
            short = normalise(short, "0_bn", of="0_conv")
        first, second = (1, self.strides) if self.late else (self.strides, 1)
        image = conv(self.features, 1, strides=first, name="1_conv")(image)
        image = nn.relu(normalise(image, "1_bn", of="1_conv"))
        image = conv(self.features, 3, strides=second, padding=1, name="2_conv")(image)
        image = nn.relu(normalise(image, "2_bn", of="2_conv"))
        image = conv(wide, 1, name="3_conv")(image)
        image = normalise(image, "3_bn", of="3_conv")
        return nn.relu(short + image)


def max_pool_3x3(image: Float[Array, "n h w c"]) -> Float[Array, "n half_h half_w c"]:
    """Largest of each 3x3 window, two apart, of an image with a margin of one zero.

    After a ReLU a margin of zeros, Keras's, gives what torchvision's of -inf gives.
    """
    for axis in (1, 2):
        margins = [(int(axis == k),) * 2 for k in range(image.ndim)]
        image = jnp.pad(image, margins)
        reach = (image.shape[axis] - 3) // 2 * 2 + 1
        taken = (slice(start, start + reach, 2) for start in range(3))
        whole = (slice(None),) * axis
        first, middle, last = (image[(*whole, window)] for window in taken)
        image = jnp.maximum(jnp.maximum(first, middle), last)
    return image
