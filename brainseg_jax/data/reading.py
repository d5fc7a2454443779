"""Examples of a split read ahead by threads: in global batches, in turn, or all to keep."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np
from jaxtyping import Int

from brainseg_jax.data.order import Order
from brainseg_jax.data.sources import Batch, Source


def keep_decoded(source: Source) -> Source:
    """The same with all examples in memory, where they take `decoded_bytes`."""
    arrays: dict[str, Any] = {}
    same = len(set(source.shapes)) == 1
    for place, fitted in enumerate(_threaded(range(len(source)), source.alone)):
        for name, part in fitted.items():
            if place == 0:
                one_array = same or (source.fit.size and name != "mask")
                whole = np.empty((len(source), *part.shape), part.dtype)
                arrays[name] = whole if one_array else [None] * len(source)
            arrays[name][place] = part
    return dataclasses.replace(source, arrays=arrays)


def training_batches(
    source: Source, order: Order, start: int, stop: int, *, resident: bool
) -> Iterator[Batch]:
    """Global batches for steps `start` to `stop`, made ahead by threads.

    With `resident` a batch only says which examples to take on the device, or where to cut
    parts out of them.
    """
    place = np.arange(order.batch_size, dtype=np.int32)

    def make(step: int) -> Batch:
        examples = order.indices(step)
        index = {"place": place, "index": examples.astype(np.int32)}
        if source.patches is None:
            return index if resident else {"place": place, **source.take(examples)}
        corners = source.patches.corners(examples, seed=order.seed, step=step)
        if resident:
            corner = corners + source.patches.before[examples]
            return {**index, "corner": corner.astype(np.int32)}
        return {"place": place, **source.take_patches(examples, corners)}

    if resident:
        return map(make, range(start, stop))
    return iter(_threaded(range(start, stop), make))


def evaluation_batches(source: Source, size: int, *, resident: bool) -> Iterator[Batch]:
    """Every example once; "example" says which, "valid" is False where one is padding.

    Examples are in order, those of one stored shape together where masks keep theirs.
    """

    def make(examples: np.ndarray) -> Batch:
        padded = np.pad(examples, (0, size - len(examples)), "edge")
        batch = {"example": padded, "valid": np.arange(size) < len(examples)}
        if resident:
            return {**batch, "index": padded.astype(np.int32)}
        return {**batch, **source.take(padded)}

    parts = evaluation_order(source, size)
    return map(make, parts) if resident else iter(_threaded(parts, make))


def evaluation_order(source: Source, size: int) -> list[Int[np.ndarray, " b"]]:
    """The examples of each evaluation batch, before any is padded."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, shape in enumerate(source.shapes):
        groups.setdefault(() if source.stackable else shape, []).append(i)
    return [
        np.array(members[start : start + size])
        for members in groups.values()
        for start in range(0, len(members), size)
    ]


def whole_examples(source: Source) -> Iterator[Batch]:
    """Image, target and scaling of each example in order, few of them at a time."""

    def make(i: int) -> Batch:
        return {**source.example(i), "scaling": source.scaling[i]}

    return iter(_threaded(range(len(source)), make, ahead=2))


def _threaded(items: Sequence, function: Callable, ahead: int = 16) -> Iterator:
    """function(item) for each item in order, computed ahead by a few threads."""
    dataset = grain.MapDataset.source(items).map(function)
    options = grain.ReadOptions(num_threads=min(4, ahead), prefetch_buffer_size=ahead)
    return iter(dataset.to_iter_dataset(options))
