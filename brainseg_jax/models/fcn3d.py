"""3D FCN: one convolution per level, and skips that are concatenated."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, layers, resampling


class Model(nn.Module):
    """2,942,644 parameters at three channels in and four outputs, statistics included.

    After Long, Shelhamer and Darrell 2015 (arXiv 1411.4038), whose net scores each level
    and adds the scores; this one joins features and convolves them on the way up.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    norm: str = "batch"
    kernel_init: str = "glorot_uniform"
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
    ) -> Float[Array, "n d h w outputs"]:
        layers.check_size(image, len(self.widths) - 1, "3D FCN")
        style = layers.style_of(self, train)
        block = layers.staged(blocks.ConvBlock, self.remat)

        *skips, image = blocks.Encoder(
            self.widths, style, repeats=(1,), remat=self.remat, name="encoder"
        )(image)
        image = bottleneck.mark(self, image)

        for level in range(len(skips), 0, -1):
            image = resampling.upsample_nearest(image)
            image = jnp.concatenate([image, skips.pop()], axis=-1)
            features = self.widths[level - 1]
            image = block(features, style, repeats=1, name=f"decoder_{level}")(image)

        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 4, 8, 8, 8)}


PUBLISHED = {"system 001": layers.Published(2_942_644, (128, 128, 128, 3), 4)}
