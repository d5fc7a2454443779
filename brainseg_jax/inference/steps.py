"""One evaluation step and one prediction step: pure, and the same for every model."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array

from brainseg_jax.data import inputs
from brainseg_jax.inference import mirroring
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training.objective import Loss

Batch = dict[str, Array]


def eval_step(
    variables: dict[str, Any],
    resident: Batch,
    batch: Batch,
    *,
    model: nn.Module,
    task: Task,
    loss: Loss,
    mirror: Sequence[str] = (),
) -> dict[str, Any]:
    """The loss of each example, and what the task measures of it."""
    batch = inputs.assemble(resident, batch)
    logits, probs = _logits_and_probs(variables, batch, model, task, mirror)
    per_example, _ = loss(logits, batch)
    return {"loss": per_example, "measured": task.measure(probs, batch)}


def predict_step(
    variables: dict[str, Any],
    resident: Batch,
    batch: Batch,
    *,
    model: nn.Module,
    task: Task,
    mirror: Sequence[str] = (),
) -> dict[str, Array]:
    """Probabilities of each example; masks at the size of `batch["mask"]`."""
    batch = inputs.assemble(resident, batch)
    return {"probs": _logits_and_probs(variables, batch, model, task, mirror)[1]}


def _logits_and_probs(variables, batch, model, task, mirror):
    """Logits, and probabilities averaged over mirror images, at the size that is scored."""
    image = batch["image"]
    logits = model.apply(variables, image)
    probs = task.probabilities(logits)
    for axes in (flips := mirroring.mirror_axes(mirror)):
        mirrored = task.probabilities(model.apply(variables, jnp.flip(image, axes)))
        probs = probs + task.unflip(mirrored, axes)
    probs = probs / (1 + len(flips))
    return task.resize(logits, batch), task.resize(probs, batch)
