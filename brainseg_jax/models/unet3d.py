"""3D U-Net: a small one with dropout and without normalisation."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models import blocks, layers


class Model(nn.Module):
    """5,645,828 parameters at three channels in and four outputs (5,646,260 at four).

    After Çiçek et al. 2016 (arXiv 1606.06650): narrower, one level deeper, with dropout
    for their batch normalisation. `dropout[k]` is the rate inside level k, down and up.
    """

    outputs: int
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    dropout: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2, 0.3)
    norm: str = "none"
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
        layers.check_size(image, len(self.widths) - 1, "3D U-Net")
        style = layers.Style(
            norm=self.norm,
            kernel_init=self.kernel_init,
            train=train,
            dtype=self.dtype,
            axis_name=self.axis_name,
        )
        block = layers.staged(blocks.ConvBlock, self.remat)
        rates = blocks.each(self.dropout, len(self.widths))

        *skips, image = blocks.Encoder(
            self.widths, style, dropout=rates, remat=self.remat, name="encoder"
        )(image, keys)

        for level in range(len(skips), 0, -1):
            features, rate = self.widths[level - 1], rates[level - 1]
            image = blocks.Up(features, style, name=f"up_{level}")(image)
            image = jnp.concatenate([image, skips.pop()], axis=-1)
            decoder = block(features, style, dropout=rate, name=f"decoder_{level}")
            image = decoder(image, keys)

        return layers.output(image, self.outputs)


PUBLISHED = {
    "system 001": layers.Published(5_645_828, (128, 128, 128, 3), 4),
    "system 001, four channels": layers.Published(5_646_260, (128, 128, 128, 4), 4),
}
