"""Attention U-Net (Oktay et al. 2018, arXiv 1804.03999): skips weighed by the decoder."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, encoders, layers


class Model(nn.Module):
    """1,999,757 parameters at one channel in and one out, statistics included.

    As system 004 built it: the signal of each gate is the decoder's image, already of the
    skip's size, and a gate has half as many features as the skip's level.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    encoder: str = ""  # the name of one, else a plain one of `widths`
    variant: str = ""  # of that encoder
    preprocessing: str = "none"
    norm: str = "batch"
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    bias: bool = False
    upsampling: str = "linear"  # or nearest
    remat: bool = False  # compute each stage again in the backward pass: less memory
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n *space c"],
        *,
        train: bool = False,
        keys: Key[Array, " n"] | None = None,
    ) -> Float[Array, "n *space outputs"]:
        style = layers.style_of(self, train)
        size = image.shape[1:-1]
        taps = encoders.take_taps(self, image, style, keys, "Attention U-Net")
        encoders.check_widths(self, taps, "Attention U-Net")
        *skips, image = taps
        image = bottleneck.mark(self, image)
        gated = layers.staged(GatedDecoder, self.remat)
        for level in range(len(skips), 0, -1):
            decoder = gated(
                self.widths[level - 1], style, self.upsampling, name=f"decoder_{level}"
            )
            image = decoder(image, skips[level - 1], keys)
        if image.shape[1:-1] != size:
            plain = layers.staged(blocks.Decoder, self.remat)
            last = plain(self.widths[0], style, self.upsampling, name="full_size")
            image = last(image, (), keys)
        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test; on an encoder, a width per decoder."""
    few = (4,) * 4 if "encoder" in options and options["encoder"] else (4, 6, 8)
    return {"widths": few}


PUBLISHED = {
    "system 004": layers.Published(1_999_757, (128, 128, 1), 1),
    "on VGG16 (ours)": layers.Published(
        16_464_445, (128, 128, 3), 1, {"encoder": "vgg16"}
    ),
    "on EfficientNetB0 (ours)": layers.Published(
        6_934_880, (128, 128, 3), 1, {"encoder": "efficientnet_b0"}
    ),
}


class GatedDecoder(nn.Module):
    """Upsampling, the skip through its gate, concatenation, two convolutions."""

    features: int
    style: layers.Style
    upsampling: str

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n *half c"],
        skip: Float[Array, "n *space d"],
        keys: blocks.Keys = None,
    ) -> Float[Array, "n *space f"]:
        image = blocks.upsample(image, self.upsampling)
        gate = blocks.AttentionGate(max(1, self.features // 2), self.style, name="gate")
        image = jnp.concatenate([image, gate(skip, image)], axis=-1)
        return blocks.ConvBlock(self.features, self.style, name="block")(image, keys)
