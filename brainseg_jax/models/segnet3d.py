"""3D SegNet: no skips; the decoder only knows where each maximum was."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, layers, options, resampling

Choices = list[Bool[Array, "n ... c"]]  # of one pooling, an array per axis


class Model(nn.Module):
    """2,876,004 parameters at three channels in and four outputs, statistics included.

    Badrinarayanan et al. 2017 (arXiv 1511.00561) in 3D, with four levels for their five
    and a quarter of the widths: the decoder mirrors the encoder, and unpooling puts each
    value where the maximum was. A level's last convolution meets the width above.

    With unpool="nearest", norm="none" and decoder_repeats=(2, 2, 2, 3) it is the plain
    net that goes by this name, of 3,195,988 parameters: values are repeated in space, and
    all convolutions of a level have its width.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 128)
    repeats: tuple[int, ...] = (2, 2, 3, 3)
    decoder_repeats: tuple[int, ...] = (2, 2, 3, 3)
    unpool: str = "indices"
    norm: str = "batch"
    kernel_init: str = "he_uniform"
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
        count = len(self.widths)
        layers.check_size(image, count, "3D SegNet")
        options.check_known("unpool", self.unpool, ("indices", "nearest"))
        style = layers.style_of(self, train)
        block = layers.staged(Convolutions, self.remat)
        repeats = blocks.each("repeats", self.repeats, count)
        decoder_repeats = blocks.each("decoder_repeats", self.decoder_repeats, count)

        pooled = []
        for level, features in enumerate(self.widths, start=1):
            widths = (features,) * repeats[level - 1]
            image = block(widths, style, name=f"encoder_{level}")(image)
            image, choices = max_pool_with_choices(image)
            pooled.append(choices)
        image = bottleneck.mark(self, image)

        for level in range(count, 0, -1):
            features, choices = self.widths[level - 1], pooled.pop()
            widths = (features,) * decoder_repeats[level - 1]
            if self.unpool == "indices":
                image = max_unpool(image, choices)
                widths = (*widths[1:], self.widths[max(level - 2, 0)])
            else:
                image = resampling.upsample_nearest(image)
            image = block(widths, style, name=f"decoder_{level}")(image)

        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test."""
    return {"widths": (4, 6, 8, 8)}


_PLAIN = {"unpool": "nearest", "norm": "none", "decoder_repeats": (2, 2, 2, 3)}
PUBLISHED = {
    "after Badrinarayanan et al. 2017 (ours)": layers.Published(
        2_876_004, (128, 128, 128, 3), 4
    ),
    "system 001": layers.Published(3_195_988, (128, 128, 128, 3), 4, _PLAIN),
}


class Convolutions(nn.Module):
    """Convolution, normalisation and activation for each of the widths."""

    widths: Sequence[int]
    style: layers.Style

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Float[Array, "n *space f"]:
        for number, features in enumerate(self.widths, start=1):
            image = self.style.conv(features, name=f"conv_{number}")(image)
            image = self.style.normalise(image, f"norm_{number}", of=f"conv_{number}")
            image = self.style.activate(image, f"activation_{number}")
        return image


def max_pool_with_choices(
    image: Float[Array, "n *space c"],
) -> tuple[Float[Array, "n *half c"], Choices]:
    """Largest of each 2x2 (or 2x2x2) window, and which it was: the first of equals.

    Indices as a knockout: pairs along the last axis, their winners along the one before.
    A choice is True where the second won; seven bits a window of eight, and no gathers.
    """
    choices = []
    for axis in reversed(range(1, image.ndim - 1)):
        first, second = (
            jax.lax.slice_in_dim(image, start, None, 2, axis=axis) for start in (0, 1)
        )
        choices.append(second > first)
        image = jnp.where(choices[-1], second, first)
    return image, choices


def max_unpool(
    image: Float[Array, "n *half c"], choices: Choices
) -> Float[Array, "n *space c"]:
    """Puts each value where the maximum of its window was; zeros elsewhere."""
    for axis, second in enumerate(reversed(choices), start=1):
        pair = (jnp.where(second, 0, image), jnp.where(second, image, 0))
        shape = (*image.shape[:axis], -1, *image.shape[axis + 1 :])
        image = jnp.stack(pair, axis + 1).reshape(shape)
    return image
