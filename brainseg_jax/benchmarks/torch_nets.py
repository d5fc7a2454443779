"""Nets in PyTorch that are those of models/ layer by layer, to compare speeds with."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from brainseg_jax.benchmarks.torch_parts import (
    ACTIVATIONS,
    NORMALISATIONS,
    POOL,
    Encoder,
    Gate,
    Head,
    Node,
    Style,
    each,
    style_of,
)
from brainseg_jax.benchmarks.torch_residual import ResidualUNet3D
from brainseg_jax.benchmarks.torch_resnet50 import ResNet50, ResNet50UNet


def build(name: str, model: Any, shape: Sequence[int]) -> nn.Module | None:
    """The peer of a net in Flax for images of `shape` [n, *space, c], if there is one.

    `name` is its model's; its options are the fields of `model`.
    """
    on_encoder = getattr(model, "encoder", "")
    if name == "encoder_unet":
        known = on_encoder == "resnet50" and not model.gates
    else:
        known = name in NETS and not on_encoder
    known = known and getattr(model, "activation", "relu") in ACTIVATIONS
    known = known and getattr(model, "norm", "none") in NORMALISATIONS
    return NETS[name](model, shape) if known else None


class UNet(nn.Module):
    """models/unet.py and models/unet3d.py, in all their forms."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        style, widths = style_of(model, shape), model.widths
        joined = model.joined_dropout
        rates = each(model.dropout, len(widths))
        self.encoder = Encoder(
            style,
            shape[-1],
            widths,
            dropout=rates,
            pooled_momentum=model.pooled_momentum,
            pooled_dropout=joined,
        )
        self.decoder = nn.ModuleList(
            Node(style, model.upsampling, deep, features, features, rate, joined)
            for deep, features, rate in zip(
                widths[:0:-1], widths[-2::-1], rates[-2::-1], strict=True
            )
        )
        self.output = style.output(widths[0], model.outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        *skips, image = self.encoder(image)
        for node in self.decoder:
            image = node(image, skips.pop())
        return self.output(image)


class AttentionUNet(nn.Module):
    """models/attention_unet.py without an encoder of another net."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        style, widths = style_of(model, shape), model.widths
        self.encoder = Encoder(style, shape[-1], widths)
        self.bigger = style.bigger(model.upsampling)
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.gates = nn.ModuleList(
            Gate(style, features, deep, max(1, features // 2), norm=False)
            for deep, features in pairs
        )
        self.decoder = nn.ModuleList(
            style.convs(deep + features, features) for deep, features in pairs
        )
        self.output = style.output(widths[0], model.outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        *skips, image = self.encoder(image)
        for gate, block in zip(self.gates, self.decoder, strict=True):
            image = self.bigger(image)
            image = block(torch.cat([image, gate(skips.pop(), image)], 1))
        return self.output(image)


class UNetPlusPlus(nn.Module):
    """models/unet_plus_plus.py without an encoder of another net."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        style, self.skips = style_of(model, shape), model.skips
        widths = self.widths = model.widths
        self.encoder = Encoder(style, shape[-1], widths)
        self.nodes = nn.ModuleDict()
        for place in range(1, len(widths)):
            for row in self._rows(place):
                skips = place * widths[row] if self.skips else 0
                self.nodes[f"{row}_{place}"] = Node(
                    style, model.upsampling, widths[row + 1], skips, widths[row]
                )
        self.output = style.output(widths[0], model.outputs)

    def _rows(self, place: int) -> range:
        ending = len(self.widths) - place
        return range(0 if self.skips else ending - 1, ending)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows = [[tap] for tap in self.encoder(image)]
        for place in range(1, len(rows)):
            for row in self._rows(place):
                skips = rows[row] if self.skips else ()
                node = self.nodes[f"{row}_{place}"]
                rows[row].append(node(rows[row + 1][-1], *skips))
        return self.output(rows[0][-1])


class FCN3D(nn.Module):
    """models/fcn3d.py."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        style, widths = style_of(model, shape), model.widths
        self.encoder = Encoder(style, shape[-1], widths, repeats=(1,))
        self.decoder = nn.ModuleList(
            style.convs(deep + features, features, 1)
            for deep, features in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.output = style.output(widths[0], model.outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        *skips, image = self.encoder(image)
        for block in self.decoder:
            image = functional.interpolate(image, scale_factor=2)
            image = block(torch.cat([image, skips.pop()], 1))
        return self.output(image)


class ResBlock(nn.Module):
    """1x1, BatchNorm, ReLU, 3x3, BatchNorm, beside a 1x1 and BatchNorm."""

    def __init__(self, style: Style, inputs: int, outputs: int):
        super().__init__()
        self.main = nn.Sequential(
            style.conv(inputs, outputs, 1),
            style.norm(outputs),
            nn.ReLU(True),
            style.conv(outputs, outputs),
            style.norm(outputs),
        )
        self.short = nn.Sequential(style.conv(inputs, outputs, 1), style.norm(outputs))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(image) + self.short(image))


class ResUNet(nn.Module):
    """models/resunet.py."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        style, widths, first = Style(), model.widths, list[nn.Module]()
        for inputs in (shape[-1], widths[0]):
            first += [
                style.conv(inputs, widths[0]),
                nn.ReLU(True),
                style.norm(widths[0]),
            ]
        self.first = nn.Sequential(*first)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(ResBlock(style, *pair) for pair in pairs)
        self.up = nn.ModuleList(
            ResBlock(style, narrow + wide, narrow) for narrow, wide in reversed(pairs)
        )
        self.output = style.output(widths[0], model.outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = self.first(image)
        skips = []
        for block in self.down:
            skips.append(image)
            image = block(functional.max_pool2d(image, 2))
        for block in self.up:
            image = functional.interpolate(image, scale_factor=2)
            image = block(torch.cat([image, skips.pop()], 1))
        return self.output(image)


def vgg16(model: Any, shape: Sequence[int]) -> nn.Module:
    """models/vgg16.py: five stages of convolutions, each with its pooling."""
    style, inputs, parts = Style(normalisation="none"), shape[-1], list[nn.Module]()
    for repeats, features in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        parts += [style.convs(inputs, features, repeats), POOL[2](2)]
        inputs = features
    return nn.Sequential(*parts, Head(model, inputs, shape[1] // 32))


def cnn(model: Any, shape: Sequence[int]) -> nn.Module:
    """models/cnn.py: convolution, ReLU, pooling and dropout, three times."""
    style, inputs, parts = Style(normalisation="none"), shape[-1], list[nn.Module]()
    for features in model.widths:
        parts += [style.convs(inputs, features, 1), POOL[2](2)]
        parts.append(nn.Dropout(model.convolution_dropout))
        inputs = features
    return nn.Sequential(
        *parts, Head(model, inputs, shape[1] // 2 ** len(model.widths))
    )


NETS: dict[str, Callable[[Any, Sequence[int]], nn.Module]] = {
    "attention_unet": AttentionUNet,
    "cnn": cnn,
    "encoder_unet": ResNet50UNet,
    "fcn3d": FCN3D,
    "residual_unet3d": ResidualUNet3D,
    "resnet50": ResNet50,
    "resunet": ResUNet,
    "unet": UNet,
    "unet3d": UNet,
    "unet_plus_plus": UNetPlusPlus,
    "vgg16": vgg16,
}
