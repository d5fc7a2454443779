"""Whether decoded splits fit on devices or in the host, told before any is decoded."""

import math
from collections.abc import Sequence

import numpy as np


def decoded_bytes(
    shapes: Sequence[tuple[int, ...]],
    *,
    channels: int,
    dtype: str,
    classes: int,
    size: Sequence[int] = (),
    stored_masks: bool = False,
) -> int:
    """Of images and targets in memory.

    Args:
        shapes: of the stored examples, without channels.
        classes: a share of each for every pixel, unless masks are stored; 0: no masks.
        size: that all are resized to; empty: each as it is stored.
    """
    stored = sum(math.prod(shape) for shape in shapes)
    fitted = len(shapes) * math.prod(size) if size else stored
    images = fitted * channels * np.dtype(dtype).itemsize
    if not classes:
        return images
    return images + (stored if stored_masks else fitted * classes)


def choose_cache(
    asked: str,
    needed: int,
    free_device: int | None,
    free_host: int | None,
    *,
    resident: bool = True,
    on_device: int | None = None,
) -> tuple[str, str]:
    """Where `needed` bytes go: what was `asked` for or the next that has room; and why.

    Half of what is free stays free. Memory that a platform does not tell is enough.
    `resident` says whether a device can take the examples by index, `on_device` how many
    bytes they are there, where they are padded.
    """
    needed_there = needed if on_device is None else on_device
    reasons = []
    if asked == "device" and not resident:
        reasons.append("examples that differ in size stay on the host")
        asked = "host"
    if asked == "device" and not _fits(needed_there, free_device):
        reasons.append(_too_much(needed_there, free_device, "on each device"))
        asked = "host"
    if asked != "none" and not _fits(needed, free_host):
        reasons.append(_too_much(needed, free_host, "in memory"))
        asked = "none"
    if not reasons:
        return asked, ""
    return asked, f"config.data.cache={asked} is used: {'; '.join(reasons)}."


def _fits(needed: int, free: int | None) -> bool:
    return free is None or needed <= free // 2


def _too_much(needed: int, free: int | None, where: str) -> str:
    return f"{needed:,} bytes are more than half of the {free:,} free {where}"
