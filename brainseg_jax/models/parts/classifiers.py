"""What the classifiers share: an encoder, and a head on its deepest features."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import blocks, bottleneck, convolutions, layers, options

STRIDE = 32  # of all of them, at the head


class Classifier(nn.Module):
    """A subclass says which encoder, and other defaults; the fields are blocks.Head's."""

    TITLE: ClassVar[str]

    outputs: int
    preprocessing: str = "none"
    pool: str | int = "global"
    hidden: tuple[int, ...] = ()
    dropout: tuple[float, ...] = (0.0,)
    dropout_before: float = 0.0
    head_init: str = "glorot_uniform"
    remat: bool = False  # compute each stage again in the backward pass: less memory
    dtype: DTypeLike = jnp.float32
    axis_name: str | None = None

    def make_encoder(self, **options: Any) -> nn.Module:
        """The encoder with these fields and the subclass's own.

        Raises:
            NotImplementedError: if the subclass has no such method of its own.
        """
        raise NotImplementedError

    def features(self, deepest: Float[Array, "n h w c"]) -> Array:
        """What the head sees of the deepest tap."""
        return deepest

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n h w c"],
        *,
        train: bool = False,
        keys: Key[Array, " n"] | None = None,
    ) -> Float[Array, "n outputs"]:
        options.check_known("head_init", self.head_init, (*convolutions.INITIALISERS,))
        layers.check_pooled(image, STRIDE, self.pool, self.TITLE)
        encoder = self.make_encoder(
            preprocessing=self.preprocessing,
            train=train,
            remat=self.remat,
            dtype=self.dtype,
            axis_name=self.axis_name,
            name="encoder",
        )
        head = blocks.Head(
            self.outputs,
            layers.Style(kernel_init=self.head_init, train=train, dtype=self.dtype),
            self.pool,
            self.hidden,
            self.dropout,
            self.dropout_before,
            name="head",
        )
        *_, deepest = encoder(image, keys).values()
        deepest = bottleneck.mark(self, deepest)
        return head(self.features(deepest), keys)
