"""U-Net (Ronneberger et al. 2015, arXiv 1505.04597) in the forms of the references."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models import blocks, layers


class Model(nn.Module):
    """31,055,297 parameters at three channels in and one out, statistics included.

    The defaults are system 000's vanilla U-Net. `dropout` holds a rate per level, finest
    first, within the blocks going down and up. The other forms, with what they count:

    - system 004: widths (16, 32, 64, 128, 256), no bias, upsampling "linear"; 2,163,553
      at one channel
    - system 004's models/unet.py: the same widths, norm "none", he_normal, dropout (.1, .1,
      .2, .2, .3); 1,940,817 at one channel
    - adityajn105: widths (64, 128, 256, 512, 512), norm "none", he_normal, upsampling
      "transposed_3", pooled_momentum .8, joined_dropout .1; 22,718,529 at one channel
    - Buda et al. 2019: widths (32, 64, 128, 256, 512), no bias; 7,768,929
    """

    outputs: int
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    norm: str = "batch"
    activation: str = "relu"
    kernel_init: str = "glorot_uniform"
    bias: bool = True  # of the convolutions before a normalisation
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
        style = layers.Style(
            norm=self.norm,
            activation=self.activation,
            kernel_init=self.kernel_init,
            bias=self.bias,
            train=train,
            dtype=self.dtype,
            axis_name=self.axis_name,
        )
        *skips, image = blocks.Encoder(
            self.widths,
            style,
            dropout=self.dropout,
            pooled_momentum=self.pooled_momentum,
            pooled_dropout=self.joined_dropout,
            remat=self.remat,
            name="encoder",
        )(image, keys)

        decoder = layers.staged(blocks.Decoder, self.remat)
        rates = blocks.each(self.dropout, len(self.widths))
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
