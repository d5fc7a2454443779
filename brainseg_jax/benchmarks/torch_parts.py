"""What the nets in PyTorch are made of, in 2D and 3D, after models/parts."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

CONV: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
BATCH: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE: dict[int, Any] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
NORMALISATIONS = ("batch", "instance", "none")
ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
POOL: dict[int, Any] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
LINEAR = {2: "bilinear", 3: "trilinear"}


@dataclasses.dataclass(frozen=True)
class Style:
    """As layers.Style, with the number of spatial axes."""

    space: int = 2
    normalisation: str = "batch"  # one of NORMALISATIONS
    activation: str = "relu"
    bias: bool = True
    momentum: float = 0.99
    epsilon: float = 1e-3

    def conv(
        self,
        inputs: int,
        features: int,
        size: int = 3,
        stride: int = 1,
        bias: bool | None = None,
    ) -> nn.Module:
        padding, bias = (size - 1) // 2, self.bias if bias is None else bias
        return CONV[self.space](inputs, features, size, stride, padding, bias=bias)

    def norm(self, features: int) -> nn.Module:
        if self.normalisation == "instance":
            return INSTANCE[self.space](features, affine=True)
        return BATCH[self.space](features, self.epsilon, 1 - self.momentum)

    def activate(self) -> nn.Module:
        return ACTIVATIONS[self.activation](inplace=True)

    def convs(
        self, inputs: int, features: int, repeats: int = 2, dropout: float = 0.0
    ) -> nn.Sequential:
        """`repeats` times convolution, normalisation, activation; dropout between them."""
        parts: list[nn.Module] = []
        for number in range(repeats):
            parts.append(self.conv(features if number else inputs, features))
            if self.normalisation != "none":
                parts.append(self.norm(features))
            parts.append(self.activate())
            if dropout and number + 1 < repeats:
                parts.append(nn.Dropout(dropout))
        return nn.Sequential(*parts)

    def up(self, how: str, inputs: int, features: int) -> nn.Module:
        """Doubles an image, as blocks.Up."""
        if how == "transposed":
            return TRANSPOSED[self.space](inputs, features, 2, 2)
        if how == "transposed_3":
            return TRANSPOSED[self.space](inputs, features, 3, 2, 1, 1)
        return nn.Sequential(self.bigger(how), self.convs(inputs, features, 1))

    def bigger(self, how: str) -> nn.Module:
        mode = LINEAR[self.space] if how == "linear" else "nearest"
        return nn.Upsample(scale_factor=2, mode=mode)

    def output(self, inputs: int, features: int) -> nn.Module:
        return CONV[self.space](inputs, features, 1)


def style_of(model: Any, shape: Sequence[int]) -> Style:
    """The style of a net in Flax that has these fields, for images of `shape`."""
    fields = {
        name: getattr(model, name)
        for name in ("activation", "bias", "momentum", "epsilon")
        if hasattr(model, name)
    }
    return Style(len(shape) - 2, model.norm, **fields)


def each(values: Sequence[Any], count: int) -> list[Any]:
    """One value per level, or the only one for all."""
    return list(values) * count if len(values) == 1 else list(values)


class Encoder(nn.Module):
    """Blocks with max pooling between them; gives the output of each, finest first."""

    def __init__(
        self,
        style: Style,
        channels: int,
        widths: Sequence[int],
        repeats: Sequence[int] = (2,),
        dropout: Sequence[float] = (0.0,),
        pooled_momentum: float | None = None,
        pooled_dropout: float = 0.0,
    ):
        super().__init__()
        self.levels, inputs = nn.ModuleList(), channels
        pooled = dataclasses.replace(style, momentum=pooled_momentum or 0.0)
        rates, convs = each(dropout, len(widths)), each(repeats, len(widths))
        for level, features in enumerate(widths):
            parts: list[nn.Module] = [POOL[style.space](2)] if level else []
            if level and pooled_momentum is not None:
                parts.append(pooled.norm(inputs))
            if level and pooled_dropout:
                parts.append(nn.Dropout(pooled_dropout))
            parts.append(style.convs(inputs, features, convs[level], rates[level]))
            self.levels.append(nn.Sequential(*parts))
            inputs = features

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        taps = []
        for level in self.levels:
            image = level(image)
            taps.append(image)
        return taps


class Node(nn.Module):
    """Doubles an image, joins it with skips, convolves twice: blocks.Decoder."""

    def __init__(
        self,
        style: Style,
        how: str,
        inputs: int,
        skips: int,
        features: int,
        dropout: float = 0.0,
        joined_dropout: float = 0.0,
    ):
        super().__init__()
        self.up = style.up(how, inputs, features)
        self.joined = nn.Dropout(joined_dropout) if joined_dropout else nn.Identity()
        self.block = style.convs(features + skips, features, dropout=dropout)

    def forward(self, image: torch.Tensor, *skips: torch.Tensor) -> torch.Tensor:
        return self.block(self.joined(torch.cat([self.up(image), *skips], 1)))


class Gate(nn.Module):
    """Weighs a skip by what a signal of its size asks for: blocks.AttentionGate."""

    def __init__(self, style: Style, skip: int, signal: int, features: int, norm: bool):
        super().__init__()
        self.theta = style.output(skip, features)
        self.phi = style.output(signal, features)
        self.norm = style.norm(features) if norm else nn.Identity()
        self.psi = style.output(features, 1)

    def forward(self, skip: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
        both = functional.relu(self.norm(self.theta(skip) + self.phi(signal)))
        return skip * torch.sigmoid(self.psi(both))


class Head(nn.Sequential):
    """Pooling, dense layers with ReLU and dropout, as blocks.Head without a global mean.

    `size` is of the features' square, `pool` "flatten" or the size of a window.
    """

    def __init__(self, model: Any, features: int, size: int):
        parts: list[nn.Module] = []
        if isinstance(model.pool, int):
            parts.append(nn.AvgPool2d(model.pool))
            size //= model.pool
        parts.append(nn.Flatten())
        inputs = features * size * size
        rates = each(model.dropout, len(model.hidden))
        for hidden, rate in zip(model.hidden, rates, strict=True):
            parts += [nn.Linear(inputs, hidden), nn.ReLU(True), nn.Dropout(rate)]
            inputs = hidden
        super().__init__(*parts, nn.Linear(inputs, model.outputs))
