"""A plain classifier of three convolutions, as system 002 built it."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, layers, resampling


class Model(nn.Module):
    """12,938,561 parameters at 224 x 224 x 3 and one output; 16,870,850 at 256, two."""

    outputs: int
    widths: tuple[int, ...] = (32, 64, 128)
    convolution_dropout: float = 0.2
    pool: str | int = "flatten"
    hidden: tuple[int, ...] = (128,)
    dropout: tuple[float, ...] = (0.5,)
    kernel_init: str = "he_uniform"
    remat: bool = False  # compute each block again in the backward pass: less memory
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None  # of no use: nothing is normalised

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n h w c"],
        *,
        train: bool = False,
        keys: Key[Array, " n"] | None = None,
    ) -> Float[Array, "n outputs"]:
        layers.check_pooled(image, 2 ** len(self.widths), self.pool, "This CNN")
        style = layers.Style(
            norm="none", kernel_init=self.kernel_init, train=train, dtype=self.dtype
        )
        block = layers.staged(Block, self.remat)
        for number, features in enumerate(self.widths, start=1):
            image = block(
                features, style, self.convolution_dropout, name=f"block_{number}"
            )(image, keys)
        image = bottleneck.mark(self, image)
        head = blocks.Head(
            self.outputs, style, self.pool, self.hidden, self.dropout, name="head"
        )
        return head(image, keys)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 6), "hidden": (8,)}


PUBLISHED = {
    "system 002, notebook": layers.Published(12_938_561, (224, 224, 3), 1),
    "system 002, module": layers.Published(16_870_850, (256, 256, 3), 2),
}


class Block(nn.Module):
    """A 3x3 convolution, ReLU, 2x2 max pooling and dropout."""

    features: int
    style: layers.Style
    dropout: float

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"], keys: blocks.Keys = None
    ) -> Float[Array, "n half_h half_w f"]:
        image = nn.relu(self.style.conv(self.features, name="conv")(image))
        image = resampling.max_pool(image)
        return self.style.dropout(image, self.dropout, keys, "/".join(self.path))
