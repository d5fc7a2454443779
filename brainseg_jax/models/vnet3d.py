"""V-Net: residual stages of large kernels, strided convolutions in place of pooling."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, layers


class Model(nn.Module):
    """65,179,380 parameters at three channels in and four outputs.

    Milletari, Navab and Ahmadi 2016 (arXiv 1606.04797). `repeats` are the convolutions
    of each stage, down and up alike. There is no normalisation, as published and since
    one or two volumes are no batch to take statistics of; norm="group" or "instance"
    does without one. The image is added to the first stage by repeating its channels.
    Kernels start He-normal by their inputs, where theirs go by the mean of inputs and
    outputs (the same within a stage), and transposed ones Glorot-uniform.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    repeats: tuple[int, ...] = (1, 2, 3, 3, 3)
    size: int = 5  # of the kernels
    norm: str = "none"
    activation: str = "prelu"
    kernel_init: str = "he_normal"
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
        layers.check_size(image, len(self.widths) - 1, "V-Net")
        style = layers.style_of(self, train)
        down, stage, up = (
            layers.staged(kind, self.remat) for kind in (Down, Stage, blocks.Up)
        )
        repeats = blocks.each("repeats", self.repeats, len(self.widths))
        image = image.astype(self.dtype)

        stages = []
        for level, features in enumerate(self.widths, start=1):
            if level > 1:
                image = down(features, style, name=f"down_{level}")(image)
            encoder = stage(
                features, style, repeats[level - 1], self.size, name=f"encoder_{level}"
            )
            image = encoder(image)
            stages.append(image)

        *skips, image = stages
        image = bottleneck.mark(self, image)
        for level in range(len(skips), 0, -1):
            features = self.widths[level - 1]
            image = up(features, style, activated=True, name=f"up_{level}")(image)
            image = jnp.concatenate([image, skips.pop()], axis=-1)
            decoder = stage(
                2 * features, style, repeats[level - 1], self.size,
                name=f"decoder_{level}",
            )  # fmt: skip
            image = decoder(image)

        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 4, 8, 8, 8)}


PUBLISHED = {
    "Milletari et al. 2016": layers.Published(65_179_380, (128, 128, 128, 3), 4),
}


class Stage(nn.Module):
    """Convolutions, and the input added before the last activation.

    An input of fewer channels is repeated until there are enough of them.
    """

    features: int
    style: layers.Style
    repeats: int
    size: int

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Float[Array, "n *space f"]:
        copies = -(-self.features // image.shape[-1])
        residual = jnp.concatenate([image] * copies, axis=-1)[..., : self.features]
        for number in range(1, self.repeats + 1):
            image = self.style.conv(self.features, self.size, name=f"conv_{number}")(
                image
            )
            image = self.style.normalise(image, f"norm_{number}", of=f"conv_{number}")
            if number == self.repeats:
                image = image + residual
            image = self.style.activate(image, f"activation_{number}")
        return image


class Down(nn.Module):
    """Halves every spatial axis by a strided 2x2x2 convolution."""

    features: int
    style: layers.Style

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Float[Array, "n *half f"]:
        image = self.style.conv(self.features, 2, strides=2, name="conv")(image)
        image = self.style.normalise(image, "norm", of="conv")
        return self.style.activate(image, "activation")
