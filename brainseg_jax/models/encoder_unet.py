"""U-Net on the features of a classifier, with or without attention gates (system 000)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, encoders, layers, options


class Model(nn.Module):
    """20,676,545 parameters on ResNet50 (ResNet50-UNet), 21,840,449 with gates (-UANet).

    At three channels in and one out, statistics included. The layers of system 000's UANet
    are known; its UNet is a reconstruction, the same without the gates. Where the finest
    tap has half the image's size, the image itself is the finest skip. A gate weighs every
    channel by itself, so a skip's channels are repeated until they are as many as the
    decoder's.
    """

    outputs: int
    encoder: str = "resnet50"
    stages: int = 4  # how many taps of the encoder to use
    widths: tuple[int, ...] = (64, 128, 256, 512)  # of the decoder, finest first
    gates: bool = False
    variant: str = ""  # of the encoder
    preprocessing: str = "none"
    norm: str = "batch"
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    bias: bool = True
    upsampling: str = "transposed"
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
        options.check_known("encoder", self.encoder, encoders.names())
        style = layers.style_of(self, train)
        name = f"U-Net on {self.encoder}"
        source = image.astype(self.dtype)
        *skips, image = encoders.take_taps(self, image, style, keys, name, self.stages)
        image = bottleneck.mark(self, image)
        if skips[0].shape[1:-1] != source.shape[1:-1]:
            skips.insert(0, source)
        if len(self.widths) != len(skips):
            raise options.BadOption(
                "widths",
                f"is {self.widths}, but {name} has {len(skips)} levels at "
                f"stages={self.stages}; give one per level.",
            )
        decoder = layers.staged(Gated if self.gates else blocks.Decoder, self.remat)
        for level in range(len(skips), 0, -1):
            image = decoder(
                self.widths[level - 1], style, self.upsampling, name=f"decoder_{level}"
            )(image, skips[level - 1 : level], keys)
        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test: two taps, a width per skip."""
    encoder = {"encoder": Model.encoder, **options}["encoder"]
    skips = 1 + encoders.find(encoder).HALVINGS
    return {"stages": 2, "widths": (4, 6)[:skips]}


def _deep(encoder: str) -> dict[str, Any]:
    return {"encoder": encoder, "stages": 5, "widths": (16, 32, 64, 128, 256)}


PUBLISHED = {
    "system 000, ResNet50-UNet, reconstructed": layers.Published(
        20_676_545, (256, 256, 3), 1
    ),
    "system 000, ResNet50-UANet": layers.Published(
        21_840_449, (256, 256, 3), 1, {"gates": True}
    ),
    "on VGG16 (ours)": layers.Published(
        25_862_337, (256, 256, 3), 1, {"encoder": "vgg16", "stages": 5}
    ),
    "on EfficientNetB0 (ours)": layers.Published(
        9_046_964, (256, 256, 3), 1, _deep("efficientnet_b0")
    ),
    "on EfficientNet-Lite0 (ours)": layers.Published(
        8_410_417, (256, 256, 3), 1, _deep("efficientnet_lite0")
    ),
}


class Gated(nn.Module):
    """Upsampling, the skip through a gate of as many maps as channels, two convolutions."""

    features: int
    style: layers.Style
    how: str

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n half_h half_w c"],
        skips: list[Float[Array, "n h w d"]],
        keys: blocks.Keys = None,
    ) -> Float[Array, "n h w f"]:
        image = blocks.Up(self.features, self.style, self.how, name="up")(image)
        gate = blocks.AttentionGate(
            self.features, self.style, maps=self.features, norms="branches", name="gate"
        )
        skip = gate(repeat_channels(skips[0], self.features), image)
        image = jnp.concatenate([image, skip], axis=-1)
        return blocks.ConvBlock(self.features, self.style, name="block")(image, keys)


def repeat_channels(
    skip: Float[Array, "n h w c"], features: int
) -> Float[Array, "n h w features"]:
    """Each channel beside its copies; the last ones are dropped where they do not divide.

    So the three channels of an image become two, 32 times each, where 64 are needed.
    """
    kept = max(k for k in range(1, skip.shape[-1] + 1) if features % k == 0)
    return jnp.repeat(skip[..., :kept], features // kept, axis=-1)
