"""3D attention U-Net: gates decide what of each skip is let through."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, layers, options, resampling


class Model(nn.Module):
    """5,750,326 parameters at three channels in and four outputs, statistics included.

    Oktay et al. 2018 (arXiv 1804.03999): at every level but the finest, whose features
    are still too plain, the skip is gated by what comes from below. The gate works at the
    skip's size, theirs at half of it.

    gated="decoder" is the other net that goes by this name, of 5,851,734 parameters: the
    skips pass whole, and the decoder's own image is gated before each upsampling to a
    level that is not the finest; first by the pooled skip below it, then by itself.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 64, 128, 256)
    gated: str = "skips"
    norm: str = "none"
    gate_norm: str = "batch"
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
        layers.check_size(image, len(self.widths) - 1, "3D attention U-Net")
        options.check_known("gated", self.gated, ("skips", "decoder"))
        style = layers.style_of(self, train)
        gates = dataclasses.replace(style, norm=self.gate_norm)
        block, gate = (
            layers.staged(kind, self.remat)
            for kind in (blocks.ConvBlock, blocks.AttentionGate)
        )

        *skips, image = blocks.Encoder(
            self.widths, style, remat=self.remat, name="encoder"
        )(image)
        image = bottleneck.mark(self, image)

        for level in range(len(skips), 0, -1):
            features, skip = self.widths[level - 1], skips.pop()
            if self.gated == "decoder" and level > 1:
                width, lowest = self.widths[level], level == len(self.widths) - 1
                signal = resampling.max_pool(skip) if lowest else image
                signal = style.conv(width, 1, name=f"signal_{level}")(signal)
                image = gate(width // 2, gates, norms="sum", name=f"gate_{level}")(
                    image, signal
                )
            image = resampling.upsample_nearest(image)
            if self.gated == "skips" and level > 1:
                skip = gate(features // 2, gates, norms="sum", name=f"gate_{level}")(
                    skip, image
                )
            image = jnp.concatenate([image, skip], axis=-1)
            image = block(features, style, name=f"decoder_{level}")(image)

        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 6, 8, 8)}


PUBLISHED = {
    "after Oktay et al. 2018 (ours)": layers.Published(
        5_750_326, (128, 128, 128, 3), 4
    ),
    "system 001": layers.Published(
        5_851_734, (128, 128, 128, 3), 4, {"gated": "decoder"}
    ),
}
