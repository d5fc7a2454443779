"""ResUNet: a small U-Net of residual blocks with nearest-neighbour upsampling."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import bottleneck, convolutions, layers, resampling


class Model(nn.Module):
    """1,210,513 parameters at three channels in and one out, statistics included.

    As systems 002 and 003 built it, after Zhang, Liu and Wang 2018 (arXiv 1711.10684),
    whose units normalise and activate before two 3x3 convolutions, and halve by strides.
    Every kernel is [height, width, in, out]. Parts are named for the figure: encoder_1
    at full size to the bottleneck, and decoder_k, which takes the skip of encoder_k.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    remat: bool = False  # compute each stage again in the backward pass: less memory
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n h w c"],
        *,
        train: bool = False,
        keys: Key[Array, " n"] | None = None,
    ) -> Float[Array, "n h w outputs"]:
        layers.check_size(image, len(self.widths) - 1, "ResUNet")
        style = layers.Style(
            kernel_init="he_normal",
            train=train,
            dtype=self.dtype,
            axis_name=self.axis_name,
        )
        stem, block = (layers.staged(kind, self.remat) for kind in (Stem, ResBlock))
        image = image.astype(self.dtype)

        skips = []
        for level, features in enumerate(self.widths[:-1], start=1):
            encoder = stem if level == 1 else block
            image = encoder(features, style, name=f"encoder_{level}")(image)
            skips.append(image)
            image = resampling.max_pool(image)

        image = block(self.widths[-1], style, name="bottleneck")(image)
        image = bottleneck.mark(self, image)

        for level in range(len(skips), 0, -1):
            decoder = block(self.widths[level - 1], style, name=f"decoder_{level}")
            image = decoder(image, skips.pop())

        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 6, 8)}


PUBLISHED = {"systems 002, 003": layers.Published(1_210_513, (256, 256, 3), 1)}


class Stem(nn.Module):
    """Two convolutions, each normalised after its activation, as published."""

    features: int
    style: layers.Style

    @nn.compact
    def __call__(self, image: Float[Array, "n h w c"]) -> Float[Array, "n h w f"]:
        for name in ("first_3x3", "second_3x3"):
            image = nn.relu(self.style.conv(self.features, name=name)(image))
            image = self.style.normalise(image, f"{name}_norm")
        return image


class ResBlock(nn.Module):
    """A 1x1 and a 3x3 convolution, and a shortcut that is a 1x1 convolution.

    With a skip, the input is concatenate([upsample_nearest(image), skip]).
    """

    features: int
    style: layers.Style

    @nn.compact
    def __call__(
        self, image: Float[Array, "n *space c"], skip: Array | None = None
    ) -> Float[Array, "n h w f"]:
        sources = (image,) if skip is None else (image, skip)
        # Both branches begin with a 1x1 convolution of the same input: one matmul.
        main_1x1 = convolutions.Kernel1x1(self.features, name="main_1x1")(*sources)
        short_1x1 = convolutions.Kernel1x1(self.features, name="short_1x1")(*sources)
        kernel, bias = (
            jnp.concatenate(pair, axis=-1)
            for pair in zip(main_1x1, short_1x1, strict=True)
        )
        if skip is None:
            branches = convolutions.conv1x1(image, kernel, bias)
        else:
            branches = convolutions.conv1x1_of_upsampled(image, skip, kernel, bias)
        main, short = jnp.split(branches, 2, axis=-1)

        main = nn.relu(self.style.normalise(main, "main_1x1_norm", of="main_1x1"))
        main = self.style.conv(self.features, name="main_3x3")(main)
        main = self.style.normalise(main, "main_3x3_norm", of="main_3x3")
        short = self.style.normalise(short, "short_1x1_norm", of="short_1x1")
        return nn.relu(main + short)
