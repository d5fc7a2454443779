"""U-Net with a second head: a mask, and a class of the whole image, from one encoder."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, encoders, layers
from brainseg_jax.models.parts.heads import Heads


class Model(nn.Module):
    """2,164,324 parameters at one channel, one map and three classes, statistics included.

    The decoder is a U-Net's. The head of classes sees the mean of the deepest features over
    all positions, through dropout and a dense layer, or `hidden` ones before it. Jalan et
    al. 2026 (github.com/nandininautiyal/brain-tumor-multitask, research_doc.md) have such
    heads, with hidden (256,), on a pretrained ResNet34. On the slices of Cheng et al.,
    split by patient, they found nothing above noise in attention gates or in pooling by the
    predicted mask, which are left out here.

    Where the finest tap of a pretrained encoder has half the image's size, the last decoder
    has no skip.
    """

    outputs: Heads  # maps, classes
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)  # of the decoder, finest first
    encoder: str = ""  # the name of one, else a plain one of `widths`
    variant: str = ""  # of that encoder
    preprocessing: str = "none"
    hidden: tuple[int, ...] = ()  # dense layers before the one that gives the classes
    label_dropout: float = 0.5  # before the dense layers
    norm: str = "batch"
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    bias: bool = False
    upsampling: str = "linear"
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
    ) -> Heads:
        style = layers.style_of(self, train)
        taps = encoders.take_taps(self, image, style, keys, "This U-Net")
        encoders.check_widths(self, taps, "This U-Net")
        *skips, deepest = taps
        deepest = bottleneck.mark(self, deepest)
        decoder = layers.staged(blocks.Decoder, self.remat)
        decoded = deepest
        for level in range(len(skips), 0, -1):
            decoded = decoder(
                self.widths[level - 1], style, self.upsampling, name=f"decoder_{level}"
            )(decoded, skips[level - 1 : level], keys)
        if decoded.shape[1:-1] != image.shape[1:-1]:
            decoded = decoder(self.widths[0], style, self.upsampling, name="full_size")(
                decoded, (), keys
            )
        label_head = blocks.Head(
            self.outputs.label,
            style,
            hidden=self.hidden,
            dropout_before=self.label_dropout,
            name="label_head",
        )
        return Heads(
            mask=layers.output(decoded, self.outputs.mask),
            label=label_head(deepest, keys),
        )


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test; on an encoder, a width per decoder."""
    few = (4,) * 4 if "encoder" in options and options["encoder"] else (4, 6, 8)
    return {"widths": few}


_OUTPUTS = Heads(mask=1, label=3)
PUBLISHED = {
    "ours": layers.Published(2_164_324, (128, 128, 1), _OUTPUTS),
    "on EfficientNet-Lite0 (ours)": layers.Published(
        6_357_556, (256, 256, 3), _OUTPUTS, {"encoder": "efficientnet_lite0"}
    ),
}
