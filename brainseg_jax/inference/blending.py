"""Windows of a volume computed and added up slab by slab, from its first plane to its last.

A plane is complete once no window to come reaches it. So nobody holds the classes of more
planes than a window is deep: the host `size[0] x height x width x classes` numbers of 32
bits however many planes there are, a device those of its windows. The volume itself and
its labels are held whole, in the bits they are stored with.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Num, UInt8

from brainseg_jax import parallel
from brainseg_jax.data import patches
from brainseg_jax.inference import regridding
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.inference import windows as placing
from brainseg_jax.inference.regridding import Grid
from brainseg_jax.inference.windows import Window, Windows
from brainseg_jax.tasks.parts.task import Task

POSITIONS = 2**18  # decided at a time: one compiled function for slabs of any size

Decide = Callable[[Float32[np.ndarray, "*space o"]], UInt8[np.ndarray, "*space 1"]]


# (probabilities, mask, which positions count) -> how many of each probability
Count = Callable[
    [
        Float32[np.ndarray, "*space o"],
        UInt8[np.ndarray, "*space 1"],
        Bool[np.ndarray, "*space"],
    ],
    Int[np.ndarray, "c 2 b"],
]


class Labelled(NamedTuple):
    """The publisher's labels of a volume, and its windows' mean loss; nan without mask."""

    labels: UInt8[np.ndarray, "*space 1"]
    loss: float
    pixels: Int[np.ndarray, "c 2 b"] | None = None  # by their probability, if counted


def label_volume(
    step: Callable,
    decide: Decide,
    variables: Any,
    example: dict[str, np.ndarray],
    windows: Windows,
    devices: parallel.Devices,
    grid: Grid | None = None,
    count: Callable[[int, np.ndarray], Any] | None = None,
) -> Labelled:
    """Of one example: image [*space c], scaling [4 c] and, for the loss, mask.

    `step` is steps.window_step, compiled by Devices.eval_step. With a `grid` probabilities
    are brought onto it, and labels are on it. `count` is given each slab of probabilities
    and its first plane; what it says is added up.
    """
    shape, losses = example["image"].shape[:-1], list[float]()

    def parts() -> Iterator[tuple[Window, np.ndarray]]:
        for window, found in each_window(step, variables, example, windows, devices):
            losses.append(float(found.get("loss", np.nan)))
            yield window, found["probs"]

    slabs = blend(parts(), shape, windows.size)
    labels = np.zeros((*(grid.shape if grid else shape), 1), np.uint8)
    within = labels[grid.box] if grid else labels
    counted = []
    for start, slab in regridding.regrid(slabs, grid.lines) if grid else slabs:
        within[start : start + len(slab)] = decide(slab)
        if count:
            counted.append(count(start, slab))
    pixels = np.sum(counted, 0) if count else None
    return Labelled(labels, float(np.mean(losses)), pixels)


def probabilities(
    step: Callable,
    variables: Any,
    example: dict[str, np.ndarray],
    windows: Windows,
    devices: parallel.Devices,
) -> Float32[np.ndarray, "*space o"]:
    """All of one example, which is to be a slice: of a volume they may not fit."""
    found = each_window(step, variables, example, windows, devices)
    parts = ((window, one["probs"]) for window, one in found)
    slabs = blend(parts, example["image"].shape[:-1], windows.size)
    return np.concatenate([slab.copy() for _, slab in slabs])


def blend(
    parts: Iterator[tuple[Window, Float32[np.ndarray, "*size o"]]],
    shape: tuple[int, ...],
    size: tuple[int, ...],
) -> Iterator[tuple[int, Float32[np.ndarray, "depth *plane o"]]]:
    """Slabs of the sum of all parts, with their first plane; one is to be used at once.

    Parts come in the order of windows.grid, each multiplied by what its window counts.
    """
    depth, first, slab = shape[0], 0, np.empty(0, np.float32)
    for window, part in parts:
        if not slab.size:
            slab = np.zeros((min(size[0], depth), *shape[1:], part.shape[-1]), "f4")
        if (done := window.corner[0] - first) > 0:
            yield first, slab[:done]
            first += done
            slab[:-done] = slab[done:].copy()
            slab[-done:] = 0
        corner = (window.corner[0] - first, *window.corner[1:])
        _add(slab, part, corner)
    yield first, slab[: depth - first]


def make_decide(task: Task) -> Decide:
    """Labels of probabilities at positions of any number, by one compiled function."""
    predict = parallel.on_one_device(task.predict)

    def decide(probs: np.ndarray) -> np.ndarray:
        flat = probs.reshape(-1, probs.shape[-1])
        labels = np.empty(len(flat), np.uint8)
        for start in range(0, len(flat), POSITIONS):
            part = flat[start : start + POSITIONS]
            padded = np.pad(part, ((0, POSITIONS - len(part)), (0, 0)))
            found = np.asarray(predict(padded[None]))[0, : len(part), 0]
            labels[start : start + POSITIONS] = found
        return labels.reshape(*probs.shape[:-1], 1)

    return decide


def make_count(task: Task) -> Count:
    """Positions of any number by their probability, by one compiled function."""

    def counted(probs: Array, mask: Array, inside: Array) -> Array:
        return inference_steps.count_pixels(task, probs, {"mask": mask}, inside)

    run = parallel.on_one_device(counted)

    def count(probs: np.ndarray, mask: np.ndarray, inside: np.ndarray) -> np.ndarray:
        flat = (
            probs.reshape(-1, probs.shape[-1]),
            mask.reshape(-1, 1),
            inside.reshape(-1),
        )
        total: Any = 0
        for start in range(0, len(flat[0]), POSITIONS):
            part = [own[start : start + POSITIONS] for own in flat]
            rest = POSITIONS - len(part[0])
            padded = [  # what fills up counts for nothing
                np.pad(own, [(0, rest), *[(0, 0)] * (own.ndim - 1)])[None]
                for own in part
            ]
            total = total + np.asarray(run(*padded))[0].astype(np.int64)
        return total

    return count


def each_window(
    step: Callable,
    variables: Any,
    example: dict[str, np.ndarray],
    windows: Windows,
    devices: parallel.Devices,
) -> Iterator[tuple[Window, dict[str, np.ndarray]]]:
    """What a step gives of each window, in the order of windows.grid, one fetch behind."""
    axes = windows.axes(example["image"].shape[:-1])
    grid, waiting = placing.grid(axes), None
    while batch := list(itertools.islice(grid, windows.batch)):
        full = [*batch, *batch[-1:] * (windows.batch - len(batch))]
        sharded = devices.shard(_cut(example, full, windows))
        result = batch, step(variables, {}, sharded)
        if waiting is not None:
            yield from _fetch(*waiting, devices)
        waiting = result
    assert waiting is not None
    yield from _fetch(*waiting, devices)


def _fetch(
    batch: Sequence[Window], result: Any, devices: parallel.Devices
) -> Iterator[tuple[Window, dict[str, np.ndarray]]]:
    fetched = devices.gather(result)
    for place, window in enumerate(batch):
        yield window, {name: values[place] for name, values in fetched.items()}


def _cut(
    example: dict[str, np.ndarray], batch: Sequence[Window], windows: Windows
) -> dict[str, np.ndarray]:
    """The windows' pixels, as patches of training are cut, and what each counts."""

    def cut(name: str, empty: int | None) -> Num[np.ndarray, "n *size c"]:
        return np.stack(
            [
                patches.cut(
                    example[name],
                    window.corner,
                    windows.size,
                    fill=windows.fill,
                    empty=empty,
                )
                for window in batch
            ]
        )

    found = {"image": cut("image", None)}
    if "mask" in example:
        found["mask"] = cut("mask", 0)
    found["scaling"] = np.stack([example["scaling"]] * len(batch))
    for axis in range(len(windows.size)):
        found[f"share_{axis}"] = np.stack([window.shares[axis] for window in batch])
    return found


def _add(
    slab: Float32[np.ndarray, "*slab o"],
    part: Float32[np.ndarray, "*size o"],
    corner: Sequence[int],
) -> None:
    """Adds what of a part lies within the slab."""
    there, here = [], []
    for start, length, room in zip(corner, part.shape, slab.shape, strict=False):
        low, high = max(start, 0), min(start + length, room)
        there.append(slice(low, high))
        here.append(slice(low - start, high - start))
    slab[tuple(there)] += part[tuple(here)]
