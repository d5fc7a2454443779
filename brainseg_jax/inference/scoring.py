"""What a model scores on every slice of a split; the tables are in reports/."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from brainseg_jax import parallel
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training.objective import Loss


class Scored(NamedTuple):
    """Loss of every slice of a split and what its task measures, in the split's order."""

    loss: np.ndarray  # [n]
    measured: Any  # of a task's measure, each array [n, ...]


def make_eval_step(
    model: nn.Module, task: Task, loss: Loss, mirror: Sequence[str]
) -> Callable:
    """eval_step as a function of (variables, resident, batch) alone."""

    def step(variables, resident, batch):
        return inference_steps.eval_step(
            variables, resident, batch, model=model, task=task, loss=loss, mirror=mirror
        )

    return step


def fitting(batch_size: int, devices: parallel.Devices) -> int:
    """The batch size, rounded up to a multiple of the devices."""
    count = len(devices.devices)
    return -(-batch_size // count) * count


def score(
    step: Callable,
    variables: Any,
    resident: Any,
    batches: Any,
    devices: parallel.Devices,
    stop: Callable[[], bool] = lambda: False,
) -> Scored | None:
    """Runs over all batches, one fetch behind; None if `stop` asked to."""
    fetched, valid, example, waiting = [], [], [], None
    for batch in batches:
        if stop():
            return None
        valid.append(batch.pop("valid"))
        example.append(batch.pop("example"))
        result = step(variables, resident, devices.shard(batch))
        if waiting is not None:
            fetched.append(devices.gather(waiting))
        waiting = result
    fetched.append(devices.gather(waiting))
    kept = np.flatnonzero(np.concatenate(valid))
    in_order = kept[np.argsort(np.concatenate(example)[kept])]
    joined = jax.tree.map(lambda *parts: np.concatenate(parts)[in_order], *fetched)
    return Scored(joined["loss"], joined["measured"])
