"""What a model scores on every slice of a split; the tables are in reports/.

Examples are seen whole, many at a time, or one after the other in windows. Of those it is
the labels that are scored, as `predict` would write them: see blending.py.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from brainseg_jax import parallel
from brainseg_jax.data import reading, sources
from brainseg_jax.inference import blending, looking, pixel_counts
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.inference.looking import Look
from brainseg_jax.inference.pixel_counts import PixelCounts, Pixels
from brainseg_jax.inference.windows import Windows
from brainseg_jax.metrics import overlap
from brainseg_jax.metrics.mask_shapes import Shapes
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training.objective import Loss


class Scored(NamedTuple):
    """Loss of every slice of a split and what its task measures, in the split's order."""

    loss: np.ndarray  # [n]
    measured: Any  # of a task's measure, each array [n, ...]
    shapes: Shapes | None = None  # of masks that were looked at
    pixels: Pixels | None = (
        None  # of masks by their probability, where they were counted
    )


def make_eval_step(
    model: nn.Module,
    task: Task,
    loss: Loss,
    mirror: Sequence[str],
    windows: Windows | None = None,
    pixels: str = "none",
) -> Callable:
    """eval_step as a function of (variables, resident, batch) alone; or window_step.

    `pixels` is eval_step's.
    """
    own = inference_steps.window_step
    if windows is None:
        own = functools.partial(inference_steps.eval_step, pixels=pixels)

    def step(variables, resident, batch):
        return own(
            variables, resident, batch, model=model, task=task, loss=loss, mirror=mirror
        )

    return step


def fitting(batch_size: int, devices: parallel.Devices) -> int:
    """The batch size, rounded up to a multiple of the devices."""
    count = len(devices.devices)
    return -(-batch_size // count) * count


def score_split(
    step: Callable,
    variables: Any,
    source: sources.Source,
    *,
    task: Task,
    devices: parallel.Devices,
    batch_size: int,
    windows: Windows | None,
    resident: Any,
    stop: Callable[[], bool] = lambda: False,
    show: Callable[[Iterator, int], Any] = lambda examples, total: examples,
    look: Look | None = None,
    pixels: PixelCounts | None = None,
) -> Scored | None:
    """Loss and measures of every example; None if `stop` asked to.

    `step` is make_eval_step's, spread over the devices; `show` may draw a bar. With `look`,
    whose scores go to `shapes`, nothing is resident: it is given the stored masks. `pixels`
    gets what a step counts that was made to, or what is counted here in windows.
    """
    if windows is None:
        size = fitting(batch_size, devices)
        batches = reading.evaluation_batches(source, size, resident=bool(resident))
        shown = show(batches, len(reading.evaluation_order(source, size)))
        return score(step, variables, resident, shown, devices, stop, look, pixels)
    windows = windows._replace(batch=fitting(windows.batch, devices))
    decide = blending.make_decide(task)
    count_in = pixel_counts.in_windows(task, pixels.policy) if pixels else None

    def label(example: dict[str, np.ndarray]) -> blending.Labelled:
        count = count_in(example) if count_in else None
        return blending.label_volume(
            step, decide, variables, example, windows, devices, count=count
        )

    examples = show(reading.whole_examples(source), len(source))
    return score_labels(label, examples, source.info.members, stop, look, pixels)


def score_labels(
    label: Callable[[dict[str, np.ndarray]], blending.Labelled],
    examples: Iterator[dict[str, np.ndarray]],
    members: Sequence[Sequence[int]],
    stop: Callable[[], bool] = lambda: False,
    look: Look | None = None,
    pixels: PixelCounts | None = None,
) -> Scored | None:
    """Loss and overlap of each example's labels with its mask; None if `stop` asked to.

    `members` are each class's labels in the publisher's mask.
    """
    losses, counted, seen = [], [], {}
    for place, example in enumerate(examples):
        if stop():
            return None
        labels, loss, counted_pixels = label(example)
        losses.append(loss)
        if pixels and counted_pixels is not None:
            pixels.add(place, counted_pixels)
        table = overlap.label_table(labels, example["mask"])
        counted.append(overlap.counts_of_labels(table, members))
        if look:
            marks = looking.where(labels, members)
            seen[place] = look.score(place, marks, example["mask"])
    measured = jax.tree.map(lambda *parts: np.concatenate(parts), *counted)
    shapes, found = looking.in_order(seen, look), pixels.found if pixels else None
    return Scored(np.array(losses), measured, shapes, found)


def score(
    step: Callable,
    variables: Any,
    resident: Any,
    batches: Any,
    devices: parallel.Devices,
    stop: Callable[[], bool] = lambda: False,
    look: Look | None = None,
    pixels: PixelCounts | None = None,
) -> Scored | None:
    """Runs over all batches, one fetch behind; None if `stop` asked to."""
    fetched, valid, example, waiting = [], [], [], None
    seen: dict[int, dict[str, np.ndarray]] = {}

    def fetch(result: Mapping[str, Any], of: Mapping[str, np.ndarray]) -> None:
        if look:
            marks = looking.of_masks(devices.gather(result["marks"]))
            for k in np.flatnonzero(of["valid"]):
                place = int(of["example"][k])
                seen[place] = look.score(place, marks[k], of["mask"][k])
        if pixels:
            tallies = devices.gather(result["pixels"])
            for k in np.flatnonzero(of["valid"]):
                pixels.add(int(of["example"][k]), tallies[k])
        kept = {name: result[name] for name in ("loss", "measured")}
        fetched.append(devices.gather(kept))

    for batch in batches:
        if stop():
            return None
        own = {name: batch.pop(name) for name in ("valid", "example")}
        valid.append(own["valid"])
        example.append(own["example"])
        result = step(variables, resident, devices.shard(batch))
        if waiting is not None:
            fetch(*waiting)
        waiting = result, {**batch, **own} if look else own
    if waiting is not None:
        fetch(*waiting)
    kept = np.flatnonzero(np.concatenate(valid))
    in_order = kept[np.argsort(np.concatenate(example)[kept])]
    joined = jax.tree.map(lambda *parts: np.concatenate(parts)[in_order], *fetched)
    shapes, counted = looking.in_order(seen, look), pixels.found if pixels else None
    return Scored(joined["loss"], joined["measured"], shapes, counted)
