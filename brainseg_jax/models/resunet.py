"""ResUNet: a small U-Net of residual blocks with nearest-neighbour upsampling."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models import layers


class Model(nn.Module):
    """1,210,513 parameters at three channels in and one out, statistics included.

    Every kernel is [height, width, in, out]. Parts are named for the figure: encoder_1
    at full size to the bottleneck, and decoder_k, which takes the skip of encoder_k.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
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
        norm = layers.batch_norm(train, self.dtype, self.axis_name)
        image = image.astype(self.dtype)

        skips = []
        for level, features in enumerate(self.widths[:-1], start=1):
            encoder = Stem if level == 1 else ResBlock
            image = encoder(features, norm, name=f"encoder_{level}")(image)
            skips.append(image)
            image = layers.max_pool(image)

        image = ResBlock(self.widths[-1], norm, name="bottleneck")(image)

        for level in range(len(skips), 0, -1):
            decoder = ResBlock(self.widths[level - 1], norm, name=f"decoder_{level}")
            image = decoder(image, skips.pop())

        glorot = nn.initializers.glorot_uniform()
        output = layers.Kernel1x1(self.outputs, glorot, name="output")(image)
        return layers.conv1x1(image.astype(jnp.float32), *output)


class Stem(nn.Module):
    """Two convolutions, each normalised after its activation, as published."""

    features: int
    norm: Callable[..., nn.BatchNorm]

    @nn.compact
    def __call__(self, image: Float[Array, "n h w c"]) -> Float[Array, "n h w f"]:
        for name in ("first_3x3", "second_3x3"):
            image = nn.relu(_conv3x3(self.features, image.dtype, name)(image))
            image = self.norm(name=f"{name}_norm")(image)
        return image


class ResBlock(nn.Module):
    """A 1x1 and a 3x3 convolution, and a shortcut that is a 1x1 convolution.

    With a skip, the input is concatenate([upsample_nearest(image), skip]).
    """

    features: int
    norm: Callable[..., nn.BatchNorm]

    @nn.compact
    def __call__(
        self, image: Float[Array, "n *space c"], skip: Array | None = None
    ) -> Float[Array, "n h w f"]:
        sources = (image,) if skip is None else (image, skip)
        # Both branches begin with a 1x1 convolution of the same input: one matmul.
        main_1x1 = layers.Kernel1x1(self.features, name="main_1x1")(*sources)
        short_1x1 = layers.Kernel1x1(self.features, name="short_1x1")(*sources)
        kernel, bias = (
            jnp.concatenate(pair, axis=-1)
            for pair in zip(main_1x1, short_1x1, strict=True)
        )
        if skip is None:
            branches = layers.conv1x1(image, kernel, bias)
        else:
            branches = layers.conv1x1_of_upsampled(image, skip, kernel, bias)
        main, short = jnp.split(branches, 2, axis=-1)

        main = nn.relu(self.norm(name="main_1x1_norm")(main))
        main = _conv3x3(self.features, image.dtype, "main_3x3")(main)
        main = self.norm(name="main_3x3_norm")(main)
        return nn.relu(main + self.norm(name="short_1x1_norm")(short))


def _conv3x3(features: int, dtype: DTypeLike, name: str) -> nn.Conv:
    he = nn.initializers.he_normal()
    return nn.Conv(features, (3, 3), dtype=dtype, kernel_init=he, name=name)
