"""Forward pass and training step of a net in PyTorch; imported only if it is installed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from brainseg_jax.benchmarks import torch_nets

LAYOUTS = ("PyTorch", "channels last")
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
if torch.cuda.is_available():  # as XLA does there: the fastest algorithms, in TF32
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")


def threads() -> int:
    return torch.get_num_threads()


def steps_of(
    name: str, model: Any, shape: Sequence[int]
) -> dict[str, Callable[[], None]]:
    """Forward and training in both layouts; nothing if the net is not in torch_nets."""
    steps = {}
    for layout in LAYOUTS:
        for what, make in (("forward", forward_pass), ("training", training_step)):
            if net := torch_nets.build(name, model, shape):
                steps[f"{layout} {what}"] = make(net, shape, layout != LAYOUTS[0])
    return steps


def training_steps(
    name: str, model: Any, shape: Sequence[int]
) -> dict[str, Callable[[], None]]:
    """Training alone, by the name of the layout."""
    nets = {layout: torch_nets.build(name, model, shape) for layout in LAYOUTS}
    return {
        layout: training_step(net, shape, layout != LAYOUTS[0])
        for layout, net in nets.items()
        if net
    }


def forward_pass(
    net: nn.Module, shape: Sequence[int], channels_last: bool
) -> Callable[[], None]:
    """A forward pass as in evaluation, on random images of `shape` [n, *space, c]."""
    net, image = _placed(net.eval(), shape, channels_last)

    def once() -> None:
        with torch.inference_mode():
            net(image)
        _wait()

    return once


def training_step(
    net: nn.Module, shape: Sequence[int], channels_last: bool
) -> Callable[[], None]:
    """A step on random images of `shape` [n, *space, c]: the loss of jax_steps, AdamW."""
    net, image = _placed(net.train(), shape, channels_last)
    with torch.no_grad():
        targets = [(torch.rand_like(one) < 0.1).float() for one in _outputs(net, image)]
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)

    def step() -> None:
        optimizer.zero_grad()
        pairs = zip(_outputs(net, image), targets, strict=True)
        torch.stack([loss(*pair) for pair in pairs]).sum().backward()
        optimizer.step()
        _wait()

    return step


def _outputs(net: nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    """All of a net with deep supervision, else the one."""
    logits = net(image)
    return logits if isinstance(logits, list) else [logits]


def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, plus Dice for masks."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    if logits.ndim == 2:
        return entropy
    probs, space = torch.sigmoid(logits), tuple(range(2, logits.ndim))
    overlap, total = (probs * target).sum(space), (probs + target).sum(space)
    return entropy + (1 - (2 * overlap + 1) / (total + 1)).mean()


def _placed(
    net: nn.Module, shape: Sequence[int], channels_last: bool
) -> tuple[nn.Module, torch.Tensor]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n, *space, channels = shape
    layout = LAST[len(space)] if channels_last else torch.contiguous_format
    image = torch.randn(n, channels, *space, device=device)
    return net.to(device, memory_format=layout), image.contiguous(memory_format=layout)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
