"""U-Net++ (Zhou et al. 2018, arXiv 1807.10165): nested decoders with dense skips."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import (
    blocks,
    bottleneck,
    convolutions,
    encoders,
    layers,
    options,
)


class Model(nn.Module):
    """2,555,041 parameters at one channel in and one out, statistics included.

    node_i_j is X(i, j) of the paper counted from 1: row i from the finest, column j from
    the encoder's; it joins what is below with all nodes before it in its row. Without
    `skips` it joins nothing, and of its nodes only the chain from the deepest tap to the
    finest row is left: 1,967,713 parameters, the net of this name that system 004 trained.
    With `deep_supervision` every node of the first
    row has an output: in training all come as a tuple, the last column's first. Where the
    encoder's finest tap has half the image's size, only the last node is doubled once more;
    the other outputs keep their half size.
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
    upsampling: str = "linear"
    skips: bool = True
    deep_supervision: bool = False
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
    ) -> Float[Array, "n *space outputs"] | tuple[Float[Array, "n ... outputs"], ...]:
        if self.deep_supervision and not self.skips:
            raise options.BadOption(
                "deep_supervision", "needs skips: without them there is one output."
            )
        style = layers.style_of(self, train)
        column = encoders.take_taps(self, image, style, keys, "U-Net++")
        encoders.check_widths(self, column, "U-Net++")
        column = [*column[:-1], bottleneck.mark(self, column[-1])]
        node = layers.staged(blocks.Decoder, self.remat)
        rows = [[tap] for tap in column]
        for place in range(1, len(rows)):
            ending = len(rows) - place
            for row in range(0 if self.skips else ending - 1, ending):
                features, name = self.widths[row], f"node_{row + 1}_{place + 1}"
                below = rows[row + 1][-1]
                made = node(features, style, self.upsampling, name=name)
                skips = rows[row] if self.skips else ()
                rows[row].append(made(below, skips, keys))

        *others, finest = rows[0][1:] if self.deep_supervision else rows[0][-1:]
        if finest.shape[1:-1] != image.shape[1:-1]:
            last = node(self.widths[0], style, self.upsampling, name="full_size")
            finest = last(finest, (), keys)
        logits = [layers.output(finest, self.outputs)]
        for place in range(len(others), 0, -1):
            head = convolutions.Conv(self.outputs, 1, name=f"output_{place + 1}")
            logits.append(head(others[place - 1].astype(jnp.float32)))
        return tuple(logits) if self.deep_supervision and train else logits[0]


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test; on an encoder, a width per decoder."""
    few = (4,) * 4 if "encoder" in options and options["encoder"] else (4, 6, 8)
    return {"widths": few}


PUBLISHED = {
    "system 004": layers.Published(1_967_713, (128, 128, 1), 1, {"skips": False}),
    "with its skips (ours)": layers.Published(2_555_041, (128, 128, 1), 1),
    "on VGG16 (ours)": layers.Published(
        17_447_633, (128, 128, 3), 1, {"encoder": "vgg16"}
    ),
    "on EfficientNetB0 (ours)": layers.Published(
        7_962_356, (128, 128, 3), 1, {"encoder": "efficientnet_b0"}
    ),
}
