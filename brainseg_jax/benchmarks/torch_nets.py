"""Some nets in PyTorch, to compare speeds with; imported only if torch is installed."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional


def norm(features: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(features, eps=1e-3, momentum=0.01)


def pair(inputs: int, features: int) -> nn.Sequential:
    """Twice 3x3 convolution, BatchNorm, ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, features):
        conv = nn.Conv2d(channels, features, 3, padding=1)
        layers += [conv, norm(features), nn.ReLU(True)]
    return nn.Sequential(*layers)


class Decoder(nn.Module):
    """Transposed convolutions, skips and pairs of convolutions, from the deepest up."""

    def __init__(self, deepest: int, skips: Sequence[int], widths: Sequence[int]):
        super().__init__()
        self.up, self.blocks = nn.ModuleList(), nn.ModuleList()
        for skip, features in zip(reversed(skips), reversed(widths), strict=True):
            self.up.append(nn.ConvTranspose2d(deepest, features, 2, 2))
            self.blocks.append(pair(features + skip, features))
            deepest = features
        self.output = nn.Conv2d(deepest, 1, 1)

    def forward(self, image: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        for up, block in zip(self.up, self.blocks, strict=True):
            image = block(torch.cat([up(image), skips.pop()], 1))
        return self.output(image)


class UNet(nn.Module):
    """System 000's vanilla U-Net, as in models/unet.py."""

    def __init__(self, channels: int = 3, widths=(64, 128, 256, 512, 1024)):
        super().__init__()
        inputs = (channels, *widths[:-1])
        self.down = nn.ModuleList(map(pair, inputs, widths))
        self.decoder = Decoder(widths[-1], widths[:-1], widths[:-1])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, block in enumerate(self.down):
            image = block(functional.max_pool2d(image, 2) if level else image)
            skips.append(image)
        return self.decoder(skips.pop(), skips)


class Bottleneck(nn.Module):
    """1x1 (that halves), 3x3 and 1x1, beside a 1x1 where the shape changes."""

    def __init__(self, inputs: int, features: int, stride: int):
        super().__init__()
        wide = 4 * features
        self.main = nn.Sequential(
            nn.Conv2d(inputs, features, 1, stride),
            norm(features),
            nn.ReLU(True),
            nn.Conv2d(features, features, 3, padding=1),
            norm(features),
            nn.ReLU(True),
            nn.Conv2d(features, wide, 1),
            norm(wide),
        )
        self.short: nn.Module = nn.Identity()
        if inputs != wide:
            self.short = nn.Sequential(nn.Conv2d(inputs, wide, 1, stride), norm(wide))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(image) + self.short(image))


class ResNet50UNet(nn.Module):
    """A ResNet50-UNet like system 000's, as in models/encoder_unet.py."""

    def __init__(self, channels: int = 3):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, 64, 7, 2, 3), norm(64), nn.ReLU(True)
        )
        stages, inputs = [], 64
        for repeats, features, stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2)):
            blocks = []
            for number in range(repeats):
                blocks.append(
                    Bottleneck(inputs, features, stride if number == 0 else 1)
                )
                inputs = 4 * features
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.decoder = Decoder(1024, (channels, 64, 256, 512), (64, 128, 256, 512))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skips = [image, self.stem(image)]
        image = functional.max_pool2d(skips[-1], 3, 2, 1)
        for stage in self.stages:
            image = stage(image)
            skips.append(image)
        return self.decoder(skips.pop(), skips)


class Block(nn.Module):
    """1x1, BatchNorm, ReLU, 3x3, BatchNorm, beside a 1x1 and BatchNorm."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1),
            norm(outputs),
            nn.ReLU(True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            norm(outputs),
        )
        self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1), norm(outputs))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(image) + self.short(image))


class ResUNet(nn.Module):
    """The net of models/resunet.py, with one output."""

    def __init__(
        self, channels: int = 3, widths: Sequence[int] = (16, 32, 64, 128, 256)
    ):
        super().__init__()
        first: list[nn.Module] = []
        for inputs in (channels, widths[0]):
            conv = nn.Conv2d(inputs, widths[0], 3, padding=1)
            first += [conv, nn.ReLU(True), norm(widths[0])]
        self.first = nn.Sequential(*first)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(Block(narrow, wide) for narrow, wide in pairs)
        self.up = nn.ModuleList(Block(narrow + wide, narrow) for narrow, wide in pairs)
        self.output = nn.Conv2d(widths[0], 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = self.first(image)
        skips = []
        for block in self.down:
            skips.append(image)
            image = block(functional.max_pool2d(image, 2))
        for block, skip in zip(reversed(self.up), reversed(skips), strict=True):
            image = functional.interpolate(image, scale_factor=2)
            image = block(torch.cat([image, skip], 1))
        return self.output(image)


NETS: dict[tuple[str, str], Callable[[], nn.Module]] = {
    ("unet", "system 000, reconstructed"): UNet,
    ("resunet", "systems 002, 003"): ResUNet,
    ("encoder_unet", "system 000, ResNet50-UNet, reconstructed"): ResNet50UNet,
}


def steps_of(
    name: str, form: str, shape: Sequence[int], *, channels_last: bool
) -> dict[str, Callable[[], None]]:
    """Forward and training step of a published form; nothing if NETS lacks it."""
    if (name, form) not in NETS:
        return {}
    return {
        "forward": forward_pass(NETS[name, form](), shape, channels_last),
        "training": training_step(NETS[name, form](), shape, channels_last),
    }


def forward_pass(
    model: nn.Module, shape: Sequence[int], channels_last: bool
) -> Callable[[], None]:
    """A forward pass as in evaluation, on random images of `shape` [n, h, w, c]."""
    model, image = _placed(model.eval(), shape, channels_last)

    def once() -> None:
        with torch.inference_mode():
            model(image)
        _wait()

    return once


def training_step(
    model: nn.Module, shape: Sequence[int], channels_last: bool
) -> Callable[[], None]:
    """A step on random images of `shape` [n, h, w, c]: cross-entropy, Dice, AdamW."""
    model, image = _placed(model, shape, channels_last)
    n, _, height, width = image.shape
    target = (torch.rand(n, 1, height, width, device=image.device) < 0.1).float()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def loss(logits: torch.Tensor) -> torch.Tensor:
        probs = torch.sigmoid(logits)
        overlap, total = (
            (probs * target).sum((1, 2, 3)),
            (probs + target).sum((1, 2, 3)),
        )
        dice = 1 - (2 * overlap + 1) / (total + 1)
        return dice.mean() + functional.binary_cross_entropy_with_logits(logits, target)

    def step() -> None:
        optimizer.zero_grad()
        loss(model(image)).backward()
        optimizer.step()
        _wait()

    return step


def _placed(
    model: nn.Module, shape: Sequence[int], channels_last: bool
) -> tuple[nn.Module, torch.Tensor]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last if channels_last else torch.contiguous_format
    n, height, width, channels = shape
    image = torch.randn(n, channels, height, width, device=device)
    model = model.to(device, memory_format=layout)
    return model, image.contiguous(memory_format=layout)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
