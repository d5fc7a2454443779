"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597) in the forms of the references."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, layers


class Model(nn.Module):
    """31,055,297 parameters at three channels in and one out, statistics included.

    The defaults are a reconstruction of system 000's vanilla U-Net: of its code nothing is
    left but input, output and transposed convolutions. PUBLISHED has the other forms.
    `dropout` holds a rate per level, finest first, within the blocks going down and up. The
    form of Buda et al. normalises and starts its 3x3 convolutions as in PyTorch; transposed
    ones and the output start Glorot-uniform and biases at zero in all forms, where in
    PyTorch they too reach up to 1 / sqrt(fan in).
    """

    outputs: int
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    norm: str = "batch"
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    bias: bool = True  # of the convolutions before a normalisation
    momentum: float = 0.99  # of batch normalisation, and its epsilon: Keras's
    epsilon: float = 1e-3
    upsampling: str = "transposed"
    dropout: tuple[float, ...] = (0.0,)
    pooled_momentum: float | None = None  # of a batch normalisation after each pooling
    joined_dropout: float = 0.0  # after each pooling and concatenation
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
        layers.check_size(image, len(self.widths) - 1, "U-Net")
        style = layers.style_of(self, train)
        *skips, image = blocks.Encoder(
            self.widths,
            style,
            dropout=self.dropout,
            pooled_momentum=self.pooled_momentum,
            pooled_dropout=self.joined_dropout,
            remat=self.remat,
            name="encoder",
        )(image, keys)
        image = bottleneck.mark(self, image)

        decoder = layers.staged(blocks.Decoder, self.remat)
        rates = blocks.each("dropout", self.dropout, len(self.widths))
        for level in range(len(skips), 0, -1):
            image = decoder(
                self.widths[level - 1],
                style,
                self.upsampling,
                dropout=rates[level - 1],
                joined_dropout=self.joined_dropout,
                name=f"decoder_{level}",
            )(image, skips[level - 1 : level], keys)
        return layers.output(image, self.outputs)


def small(options: Mapping[str, Any]) -> dict[str, Any]:
    """What makes it small enough for a test; `dropout` may hold a rate per level."""
    return {"widths": (4, 6, 8), "dropout": (0.0,)}


_NARROW = (16, 32, 64, 128, 256)
PUBLISHED = {
    "system 000, reconstructed": layers.Published(31_055_297, (256, 256, 3), 1),
    "system 004": layers.Published(
        2_163_553,
        (128, 128, 1),
        1,
        {"widths": _NARROW, "bias": False, "upsampling": "linear"},
    ),
    "system 004, dropout": layers.Published(
        1_940_817,
        (128, 128, 1),
        1,
        {
            "widths": _NARROW,
            "norm": "none",
            "kernel_init": "he_normal",
            "dropout": (0.1, 0.1, 0.2, 0.2, 0.3),
        },
    ),
    "adityajn105": layers.Published(
        22_718_529,
        (128, 128, 1),
        1,
        {
            "widths": (64, 128, 256, 512, 512),
            "norm": "none",
            "kernel_init": "he_normal",
            "upsampling": "transposed_3",
            "pooled_momentum": 0.8,
            "joined_dropout": 0.1,
        },
    ),
    "Buda et al. 2019": layers.Published(
        7_768_929,
        (256, 256, 3),
        1,
        {
            "widths": (32, 64, 128, 256, 512),
            "kernel_init": "pytorch_uniform",
            "bias": False,
            "momentum": 0.9,
            "epsilon": 1e-5,
        },
    ),
}
