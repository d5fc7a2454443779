"""Nets on ResNet50 in PyTorch, layer by layer, to compare speeds with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from brainseg_jax.benchmarks.torch_parts import Head, Node, Style, style_of


class Bottleneck(nn.Module):
    """1x1 (that halves), 3x3 and 1x1, beside a 1x1 where the shape changes."""

    def __init__(self, style: Style, inputs: int, features: int, stride: int):
        super().__init__()
        wide = 4 * features
        self.main = nn.Sequential(
            style.conv(inputs, features, 1, stride),
            style.norm(features),
            nn.ReLU(True),
            style.conv(features, features),
            style.norm(features),
            nn.ReLU(True),
            style.conv(features, wide, 1),
            style.norm(wide),
        )
        self.short: nn.Module = nn.Identity()
        if inputs != wide:
            self.short = nn.Sequential(
                style.conv(inputs, wide, 1, stride), style.norm(wide)
            )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(image) + self.short(image))


class ResNet50Encoder(nn.Module):
    """The encoder of models/resnet50.py as Keras has it; gives its taps."""

    def __init__(self, channels: int, stages: int = 5):
        super().__init__()
        style, inputs = Style(epsilon=1.001e-5), 64
        self.stem = nn.Sequential(
            style.conv(channels, 64, 7, 2), style.norm(64), nn.ReLU(True)
        )
        self.stages = nn.ModuleList()
        plan = ((3, 64), (4, 128), (6, 256), (3, 512))[: stages - 1]
        for repeats, features in plan:
            blocks = []
            for number in range(repeats):
                stride = 2 if number == 0 and features > 64 else 1
                blocks.append(Bottleneck(style, inputs, features, stride))
                inputs = 4 * features
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        taps = [self.stem(image)]
        image = functional.max_pool2d(taps[0], 3, 2, 1)
        for stage in self.stages:
            image = stage(image)
            taps.append(image)
        return taps


class ResNet50UNet(nn.Module):
    """models/encoder_unet.py on ResNet50, without gates."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        style, widths = style_of(model, shape), model.widths
        self.encoder = ResNet50Encoder(shape[-1], model.stages)
        *skips, deep = (shape[-1], 64, 256, 512, 1024, 2048)[: model.stages + 1]
        self.decoder = nn.ModuleList()
        for skip, features in zip(reversed(skips), reversed(widths), strict=True):
            self.decoder.append(Node(style, model.upsampling, deep, skip, features))
            deep = features
        self.output = style.output(deep, model.outputs)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skips = [image, *self.encoder(image)]
        image = skips.pop()
        for node in self.decoder:
            image = node(image, skips.pop())
        return self.output(image)


class ResNet50(nn.Module):
    """models/resnet50.py with Keras's encoder."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        self.encoder = ResNet50Encoder(shape[-1])
        self.head = Head(model, 2048, shape[1] // 32)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(image)[-1])
