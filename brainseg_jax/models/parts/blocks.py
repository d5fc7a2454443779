"""Blocks of several layers that more than one architecture is made of, in 2D and 3D."""

import dataclasses
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from brainseg_jax.models.parts import convolutions, layers, options, resampling
from brainseg_jax.models.parts.layers import Style

Keys = Key[Array, " n"] | None


class ConvBlock(nn.Module):
    """`repeats` times convolution, normalisation, activation; dropout between them."""

    features: int
    style: Style
    repeats: int = 2
    dropout: float = 0.0

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"], keys: Keys = None) -> Array:
        for number in range(1, self.repeats + 1):
            conv = f"conv_{number}"
            image = self.style.conv(self.features, name=conv)(image)
            image = self.style.normalise(image, f"norm_{number}", of=conv)
            image = self.style.activate(image, f"activation_{number}")
            if number < self.repeats:
                place = "/".join((*self.path, str(number)))
                image = self.style.dropout(image, self.dropout, keys, place)
        return image


class Encoder(nn.Module):
    """Blocks with max pooling between them; gives the output of each, finest first.

    `dropout[k]` is the rate within level k, (0,) none anywhere. After each pooling may come
    a batch normalisation of its own momentum and a dropout.
    """

    widths: Sequence[int]
    style: Style
    repeats: Sequence[int] = (2,)  # convolutions of each level, or one for all
    dropout: Sequence[float] = (0.0,)
    pooled_momentum: float | None = None
    pooled_dropout: float = 0.0
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: Float[Array, "n *space c"], keys: Keys = None
    ) -> list[Array]:
        block = layers.staged(ConvBlock, self.remat)
        count, taps = len(self.widths), []
        repeats = each("repeats", self.repeats, count)
        dropout = each("dropout", self.dropout, count)
        for level, features in enumerate(self.widths):
            if level:
                image = self._pool(image, keys, f"pooled_{level}")
            image = block(
                features, self.style, repeats[level], dropout[level],
                name=f"level_{level + 1}",
            )(image, keys)  # fmt: skip
            taps.append(image)
        return taps

    def _pool(self, image: Array, keys: Keys, name: str) -> Array:
        image = resampling.max_pool(image)
        if self.pooled_momentum is not None:
            momentum = self.pooled_momentum
            options.check_share("pooled_momentum", momentum)
            style = dataclasses.replace(self.style, norm="batch", momentum=momentum)
            image = style.normalise(image, f"{name}_norm")
        return self.style.dropout(image, self.pooled_dropout, keys, f"encoder/{name}")


class Up(nn.Module):
    """Doubles an image: "transposed" (2x2), "transposed_3" (3x3), "linear" or "nearest".

    After an interpolation comes a 3x3 convolution to `features`, normalised and activated;
    a transposed convolution stands alone, unless `activated`.
    """

    features: int
    style: Style
    how: str = "transposed"
    activated: bool = False

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Array:
        if self.how in ("transposed", "transposed_3"):
            size, conv = 3 if self.how == "transposed_3" else 2, "transposed"
            image = convolutions.ConvTranspose(
                self.features, size, dtype=self.style.dtype, name=conv
            )(image)
            if not self.activated:
                return image
        else:
            image, conv = upsample(image, self.how), "conv"
            image = self.style.conv(self.features, name=conv)(image)
        image = self.style.normalise(image, "norm", of=conv)
        return self.style.activate(image, "activation")


class Decoder(nn.Module):
    """Doubles an image, joins it with the skips of its new size, convolves twice.

    `joined_dropout` comes right after the concatenation [image, *skips].
    """

    features: int
    style: Style
    how: str = "transposed"
    dropout: float = 0.0
    joined_dropout: float = 0.0

    @nn.compact
    def __call__(
        self,
        image: Float[Array, "n *half c"],
        skips: Sequence[Array] = (),
        keys: Keys = None,
    ) -> Float[Array, "n *space f"]:
        image = Up(self.features, self.style, self.how, name="up")(image)
        image = jnp.concatenate([image, *skips], axis=-1)
        place = "/".join((*self.path, "joined"))
        image = self.style.dropout(image, self.joined_dropout, keys, place)
        block = ConvBlock(self.features, self.style, dropout=self.dropout, name="block")
        return block(image, keys)


class AttentionGate(nn.Module):
    """Weighs a skip by what a signal of the same size asks for.

    The additive gate of Oktay et al. 2018 (arXiv 1804.03999): sigmoid(psi(relu(theta(skip)
    + phi(signal)))) times the skip, all 1x1 convolutions. `maps` is 1, or as many as the
    skip has channels for a weight per channel. `norms` says what is normalised: "none",
    "branches" (theta and phi, each by itself) or "sum".
    """

    features: int
    style: Style
    maps: int = 1
    norms: str = "none"

    @nn.compact
    def __call__(
        self, skip: Float[Array, "n *space c"], signal: Float[Array, "n *space d"]
    ) -> Float[Array, "n *space c"]:
        theta = self.style.conv(self.features, 1, bias=True, name="theta")(skip)
        phi = self.style.conv(self.features, 1, bias=True, name="phi")(signal)
        if self.norms == "branches":
            theta = self.style.normalise(theta, "theta_norm", of="theta")
            phi = self.style.normalise(phi, "phi_norm", of="phi")
        both = theta + phi
        if self.norms == "sum":
            both = self.style.normalise(both, "norm")
        psi = self.style.conv(self.maps, 1, bias=True, name="psi")
        return skip * jax.nn.sigmoid(psi(nn.relu(both)))


class SqueezeExcite(nn.Module):
    """Scales each channel by what all channels' means say (Hu et al. 2018, 1709.01507)."""

    features: int  # in between
    style: Style

    @nn.compact
    def __call__(self, image: Float[Array, "n *space c"]) -> Array:
        space = tuple(range(1, image.ndim - 1))
        weights = image.mean(space, keepdims=True)
        weights = self.style.conv(self.features, 1, bias=True, name="reduce")(weights)
        weights = self.style.activate(weights, "activation")
        weights = self.style.conv(image.shape[-1], 1, bias=True, name="expand")(weights)
        return image * jax.nn.sigmoid(weights)


class Head(nn.Module):
    """Classifies an image from its last features: pooling, dense layers, dropout.

    `pool` is "global" (mean over all positions), "flatten" (all positions one after
    the other) or a number: means over windows of that size, then flattened. `dropout[k]`
    follows hidden layer k; `dropout_before` comes before the first.
    """

    outputs: int
    style: Style
    pool: str | int = "global"
    hidden: Sequence[int] = ()
    dropout: Sequence[float] = (0.0,)
    dropout_before: float = 0.0

    @nn.compact
    def __call__(
        self, image: Float[Array, "n h w c"], keys: Keys = None
    ) -> Float[Array, "n outputs"]:
        if self.pool not in ("global", "flatten") and not isinstance(self.pool, int):
            raise options.BadOption(
                "pool",
                f"is {self.pool!r}; it can be global, flatten or the size of a window.",
            )
        if self.pool == "global":
            values = image.mean((1, 2))
        else:
            if isinstance(self.pool, int):
                image = nn.avg_pool(
                    image, (self.pool, self.pool), (self.pool, self.pool)
                )
            values = image.reshape(len(image), -1)
        values = self.style.dropout(values, self.dropout_before, keys, "head/before")
        rates = each("dropout", self.dropout, len(self.hidden))
        for number, (features, rate) in enumerate(
            zip(self.hidden, rates, strict=True), start=1
        ):
            values = nn.Dense(
                features,
                dtype=self.style.dtype,
                kernel_init=convolutions.INITIALISERS[self.style.kernel_init],
                name=f"dense_{number}",
            )(values)
            values = self.style.activate(values, f"activation_{number}")
            values = self.style.dropout(values, rate, keys, f"head/{number}")
        glorot = convolutions.INITIALISERS["glorot_uniform"]
        output = nn.Dense(self.outputs, kernel_init=glorot, name="output")
        return output(values.astype(jnp.float32))


def upsample(image: Float[Array, "n *space c"], how: str) -> Array:
    """Doubles an image by "linear" or "nearest" interpolation.

    Raises:
        BadOption: if `how` is another word.
    """
    if how == "linear":
        return resampling.upsample_linear(image)
    if how == "nearest":
        return resampling.upsample_nearest(image)
    raise options.BadOption(
        "upsampling",
        f"is {how!r}; it can be linear or nearest, in most nets also transposed or "
        "transposed_3.",
    )


def each(option: str, values: Sequence, count: int) -> Sequence:
    """One value per level or layer: as given, or the only one for all.

    Raises:
        BadOption: if there are neither one value nor `count`.
    """
    if len(values) == 1:
        return list(values) * count
    if len(values) != count:
        raise options.BadOption(
            option, f"is {tuple(values)}; give one value for all, or {count}."
        )
    return values
