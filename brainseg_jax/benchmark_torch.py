"""The ResUNet in PyTorch, to compare speeds with; imported only where torch is there."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """1x1, BatchNorm, ReLU, 3x3, BatchNorm, beside a 1x1 and BatchNorm."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
            nn.ReLU(True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
        )
        self.short = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.main(image) + self.short(image))


class ResUNet(nn.Module):
    """The net of models/resunet.py, with one output."""

    def __init__(self, channels: int, widths: Sequence[int]):
        super().__init__()
        first: list[nn.Module] = []
        for inputs in (channels, widths[0]):
            first += [
                nn.Conv2d(inputs, widths[0], 3, padding=1),
                nn.ReLU(True),
                nn.BatchNorm2d(widths[0], eps=1e-3, momentum=0.01),
            ]
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


def training_step(
    shape: Sequence[int], widths: Sequence[int], *, channels_last: bool
) -> Callable[[], None]:
    """A step with random images of `shape` [n, h, w, c]: cross-entropy, Dice, AdamW."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = torch.channels_last if channels_last else torch.contiguous_format
    n, height, width, channels = shape
    model = ResUNet(channels, widths).to(device, memory_format=layout)
    image = torch.randn(n, channels, height, width, device=device)
    image = image.contiguous(memory_format=layout)
    target = (torch.rand(n, 1, height, width, device=device) < 0.1).float()
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
        if device.type == "cuda":
            torch.cuda.synchronize()

    step()
    return step
