"""What the EfficientNets share (Tan and Le 2019, arXiv 1905.11946), in size B0."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from brainseg_jax.models.parts import blocks, convolutions, layers

# As Keras draws them: one output of a depthwise kernel has height x width x 1 inputs.
DEPTHWISE_INIT = nn.initializers.variance_scaling(
    2.0, "fan_out", "truncated_normal", in_axis=-1, out_axis=-2
)


class Stage(NamedTuple):
    """Equal blocks one after the other, of which the first may halve the image."""

    size: int  # of the depthwise kernels
    repeats: int
    features: int  # that come out
    strides: int  # of the first block


STAGES = (
    Stage(3, 1, 16, 1),
    Stage(3, 2, 24, 2),
    Stage(5, 2, 40, 2),
    Stage(3, 3, 80, 2),
    Stage(5, 3, 112, 1),
    Stage(5, 4, 192, 2),
    Stage(3, 1, 320, 1),
)
BLOCKS = [  # each with its name
    (f"block{number}{'abcd'[repeat]}", stage, stage.strides if repeat == 0 else 1)
    for number, stage in enumerate(STAGES, start=1)
    for repeat in range(stage.repeats)
]


def make_style(
    activation: str, train: bool, dtype: DTypeLike, axis_name: str | None
) -> layers.Style:
    """Keras's: no biases, and kernels whose width goes by what comes out of them."""
    return layers.Style(
        activation=activation,
        kernel_init="he_normal_out",
        bias=False,
        train=train,
        dtype=dtype,
        axis_name=axis_name,
    )


def take_taps(
    image: Float[Array, "n h w c"],
    keys: blocks.Keys,
    style: layers.Style,
    *,
    squeeze: float,
    drop_connect: float,
    stages: int,
    remat: bool,
) -> dict[str, Array]:
    """The first `stages` taps; the modules are those of the Encoder that calls this.

    A tap is the widest image of its size: the expansion in the block that halves it next,
    or after the last block the 1280 features at the top. `squeeze` is squeeze-excitation's
    share of a block's features, 0 for none.
    """
    block, taps = layers.staged(InvertedResidual, remat), dict[str, Array]()
    image = style.conv(32, strides=2, name="stem_conv")(image)
    image = style.normalise(image, "stem_bn", of="stem_conv")
    image = style.activate(image, "stem_activation")
    for number, (name, stage, strides) in enumerate(BLOCKS):
        expanded, image = block(
            stage,
            strides,
            1 if number == 0 else 6,
            squeeze,
            drop_connect * number / len(BLOCKS),
            strides == 2 and len(taps) == stages - 1,
            style,
            name=name,
        )(image, keys)
        if strides == 2:
            taps[f"{name}_expand_activation"] = expanded
        if len(taps) == stages:
            return taps
    image = style.conv(1280, 1, name="top_conv")(image)
    image = style.normalise(image, "top_bn", of="top_conv")
    return {**taps, "top_activation": style.activate(image, "top_activation")}


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection; gives the expansion, the result.

    With one stride and no change of features the input is added, and in training the rest
    left out of a share `drop` of the examples (Huang et al. 2016, 1603.09382).
    """

    stage: Stage
    strides: int
    expansion: int
    squeeze: float
    drop: float
    only_expand: bool  # and give that twice
    style: layers.Style

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"], keys: blocks.Keys = None
    ) -> tuple[Array, Array]:
        style, short, channels = self.style, image, image.shape[-1]
        if self.expansion > 1:
            conv = style.conv(channels * self.expansion, 1, name="expand_conv")
            image = style.normalise(conv(image), "expand_bn", of="expand_conv")
            image = style.activate(image, "expand_activation")
        expanded = image
        if self.only_expand:
            return expanded, expanded

        # "SAME" is what Keras pads before a stride of two, with even and odd sizes alike.
        image = convolutions.DepthwiseConv(
            self.stage.size,
            self.strides,
            kernel_init=DEPTHWISE_INIT,
            dtype=style.dtype,
            name="dwconv",
        )(image)
        image = style.normalise(image, "bn", of="dwconv")
        image = style.activate(image, "activation")
        if self.squeeze:
            features = max(1, int(channels * self.squeeze))
            image = blocks.SqueezeExcite(features, style, name="se")(image)
        image = style.conv(self.stage.features, 1, name="project_conv")(image)
        image = style.normalise(image, "project_bn", of="project_conv")

        if self.strides == 1 and channels == self.stage.features:
            whole = jnp.ones((len(image), 1, 1, 1), image.dtype)
            kept = style.dropout(whole, self.drop, keys, "/".join(self.path))
            image = short + image * kept
        return expanded, image
