"""3D residual U-Net: strided residual stages down, transposed convolutions up."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, convolutions, layers


class Model(nn.Module):
    """102,350,851 parameters at four channels in and three outputs.

    After the residual encoder of nnU-Net (Isensee et al. 2024, arXiv 2404.09556): instance
    normalisation, leaky ReLU, `repeats` residual blocks a stage going down, of
    which half as many (1, 2, 2, 2, 2, 2) give a net of 42 million, and `decoder_repeats`
    plain convolutions going up. Statistics are each example's own, as a
    batch of one or two volumes has none to speak of; norm="group" shares them between
    channels.

    With `deep_supervision` every level of the decoder but its lowest has an output: in
    training all come as a tuple, the finest first.
    """

    outputs: int
    widths: tuple[int, ...] = (32, 64, 128, 256, 320, 320)
    repeats: tuple[int, ...] = (1, 3, 4, 6, 6, 6)
    decoder_repeats: tuple[int, ...] = (1,)
    norm: str = "instance"
    activation: str = "leaky_relu"
    kernel_init: str = "he_normal"
    deep_supervision: bool = False
    remat: bool = False  # compute each stage again in the backward pass: less memory
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n d h w c"],
        *,
        train: bool = False,
        keys: Key[Array, " n"] | None = None,
    ) -> Float[Array, "n d h w outputs"] | tuple[Float[Array, "n ... outputs"], ...]:
        count = len(self.widths)
        layers.check_size(image, count - 1, "3D residual U-Net")
        style = layers.style_of(self, train)
        stage, up = (layers.staged(kind, self.remat) for kind in (Stage, Up))
        repeats = blocks.each("repeats", self.repeats, count)
        decoder_repeats = blocks.each(
            "decoder_repeats", self.decoder_repeats, count - 1
        )
        stem = blocks.ConvBlock(self.widths[0], style, repeats=1, name="stem")
        image = stem(image)

        stages = []
        for level, features in enumerate(self.widths):
            image = stage(
                features, style, repeats[level], 2 if level else 1,
                name=f"encoder_{level + 1}",
            )(image)  # fmt: skip
            stages.append(image)

        *skips, image = stages
        image = bottleneck.mark(self, image)
        logits: list[Array] = []
        for level in range(count - 1, 0, -1):
            features, convs = self.widths[level - 1], decoder_repeats[level - 1]
            image = up(features, style, convs, name=f"decoder_{level}")(
                image, skips[level - 1]
            )
            if self.deep_supervision and 1 < level < count - 1:
                head = convolutions.Conv(self.outputs, 1, name=f"output_{level}")
                logits.insert(0, head(image.astype(jnp.float32)))
        finest = layers.output(image, self.outputs)
        return (finest, *logits) if self.deep_supervision and train else finest


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 6, 8, 8, 8), "repeats": (1,), "decoder_repeats": (1,)}


PUBLISHED = {
    "nnU-Net's size (ours)": layers.Published(102_350_851, (128, 128, 128, 4), 3),
}


class Stage(nn.Module):
    """Residual blocks, the first of which changes features and resolution."""

    features: int
    style: layers.Style
    repeats: int
    strides: int

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Float[Array, "n *less f"]:
        for number in range(1, self.repeats + 1):
            image = ResidualBlock(
                self.features,
                self.style,
                self.strides if number == 1 else 1,
                name=f"block_{number}",
            )(image)
        return image


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is averaged and projected where it must be.

    Block D of He et al. 2019 (arXiv 1812.01187).
    """

    features: int
    style: layers.Style
    strides: int = 1

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Float[Array, "n *less f"]:
        style, shortcut = self.style, image
        if self.strides > 1:
            window = (self.strides,) * (image.ndim - 2)
            shortcut = nn.avg_pool(shortcut, window, window)
        if shortcut.shape[-1] != self.features:
            projection = style.conv(self.features, 1, bias=False, name="projection")
            shortcut = style.normalise(
                projection(shortcut), "projection_norm", of="projection"
            )
        conv_1 = style.conv(self.features, strides=self.strides, name="conv_1")
        image = style.normalise(conv_1(image), "norm_1", of="conv_1")
        image = style.activate(image, "activation_1")
        image = style.conv(self.features, name="conv_2")(image)
        image = style.normalise(image, "norm_2", of="conv_2")
        return style.activate(image + shortcut, "activation_2")


class Up(nn.Module):
    """Doubles an image by a transposed convolution, joins its skip, convolves."""

    features: int
    style: layers.Style
    repeats: int

    @nn.compact
    def __call__(
        self, image: Float[Array, "n *half c"], skip: Float[Array, "n *space f"]
    ) -> Float[Array, "n *space f"]:
        image = blocks.Up(self.features, self.style, name="up")(image)
        image = jnp.concatenate([image, skip], axis=-1)
        block = blocks.ConvBlock(
            self.features, self.style, repeats=self.repeats, name="block"
        )
        return block(image)
