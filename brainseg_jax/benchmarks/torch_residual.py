"""The residual U-Net of volumes in PyTorch, layer by layer, to compare speeds with."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from brainseg_jax.benchmarks.torch_parts import Style, each, style_of


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, averaged and projected where it must be."""

    def __init__(self, style: Style, inputs: int, features: int, stride: int):
        super().__init__()
        self.main = nn.Sequential(
            style.conv(inputs, features, 3, stride),
            style.norm(features),
            style.activate(),
            style.conv(features, features),
            style.norm(features),
        )
        short: list[nn.Module] = [nn.AvgPool3d(stride)] if stride > 1 else []
        if inputs != features:
            short.append(style.conv(inputs, features, 1, bias=False))
            short.append(style.norm(features))
        self.short = nn.Sequential(*short)
        self.activate = style.activate()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.activate(self.main(image) + self.short(image))


class ResidualUNet3D(nn.Module):
    """models/residual_unet3d.py; a list while it trains with deep supervision."""

    def __init__(self, model: Any, shape: Sequence[int]):
        super().__init__()
        style, widths = style_of(model, shape), model.widths
        self.stem = style.convs(shape[-1], widths[0], 1)
        repeats, inputs = each(model.repeats, len(widths)), widths[0]
        self.stages = nn.ModuleList()
        for level, features in enumerate(widths):
            blocks = []
            for number in range(repeats[level]):
                stride = 2 if level and number == 0 else 1
                blocks.append(ResidualBlock(style, inputs, features, stride))
                inputs = features
            self.stages.append(nn.Sequential(*blocks))
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        convs = each(model.decoder_repeats, len(pairs))[::-1]
        self.up = nn.ModuleList(style.up("transposed", *pair) for pair in pairs)
        self.decoder = nn.ModuleList(
            style.convs(2 * features, features, count)
            for (_, features), count in zip(pairs, convs, strict=True)
        )
        # Of every level of the decoder but its lowest; the finest one's is always there.
        first = 1 if model.deep_supervision else len(pairs) - 1
        self.outputs = nn.ModuleDict(
            {
                str(place): style.output(features, model.outputs)
                for place, (_, features) in enumerate(pairs)
                if place >= first or place == len(pairs) - 1
            }
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        image, skips = self.stem(image), list[torch.Tensor]()
        logits: list[torch.Tensor] = []
        for stage in self.stages:
            image = stage(image)
            skips.append(image)
        skips.pop()
        for place, (up, block) in enumerate(zip(self.up, self.decoder, strict=True)):
            image = block(torch.cat([up(image), skips.pop()], 1))
            if str(place) in self.outputs and (self.training or not skips):
                logits.insert(0, self.outputs[str(place)](image))
        return logits if len(logits) > 1 else logits[0]
