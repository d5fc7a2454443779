"""From images to probabilities on a grid, and what is measured there: pure, any model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, Num

from brainseg_jax.data import inputs, normalise
from brainseg_jax.inference import folding, mirroring
from brainseg_jax.metrics import pixel_tallies
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.tasks.parts.task import Each, Task
from brainseg_jax.training.objective import Loss

Batch = dict[str, Array]
Variables = dict[str, Any]


class Outputs(NamedTuple):
    """Of a model; probabilities are averaged over mirror images, logits are not."""

    logits: Each
    probs: Each


def probabilities(
    variables: Variables,
    image: Num[Array, "n *space c"],
    scaling: Float[Array, "n 4 c"],
    grid: tuple[int, ...],
    *,
    model: nn.Module,
    task: Task,
    mirror: Sequence[str],
) -> Each:
    """Of stored images at the model's size; maps come back at the size `grid`."""
    outputs = run_model(
        variables,
        normalise.apply(image, scaling),
        model=model,
        task=task,
        mirror=mirror,
    )
    return task.resize(outputs.probs, grid)


def eval_step(
    variables: Variables,
    resident: Batch,
    batch: Batch,
    *,
    model: nn.Module,
    task: Task,
    loss: Loss,
    mirror: Sequence[str],
    pixels: str = "none",
) -> dict[str, Any]:
    """Loss, what the task measures and marks of each example, on the grid of its mask.

    And the pixels of masks by their probability, of which `pixels` says which count, by
    one of pixel_tallies.POLICIES.
    """
    batch = inputs.assemble(resident, batch)
    image = batch["image"]
    outputs = run_model(variables, image, model=model, task=task, mirror=mirror)
    grid = batch.get("mask", image).shape[1:-1]
    per_example, _ = loss(task.resize(outputs.logits, grid), batch)
    probs = task.resize(outputs.probs, grid)
    measured = task.measure(probs, batch)
    found = {"loss": per_example, "measured": measured, "marks": task.mark(probs)}
    if pixels == "none":
        return found
    counted = head_on(grid, image) if pixels == "head" else None
    return found | {"pixels": count_pixels(task, probs, batch, counted)}


def count_pixels(
    task: Task, probs: Each, batch: Batch, counted: Bool[Array, "n *grid"] | None = None
) -> Int[Array, "n c 2 b"]:
    """Those of masks by the probability of each class; None counts all."""
    own = task.heads.mask if task.heads else task
    maps: Any = probs.mask if isinstance(probs, Heads) else probs
    classes = len(own.classes)
    truth = own.target(batch)[..., -classes:] > 0.5  # without background
    if counted is None:
        counted = jnp.ones(truth.shape[:-1], bool)
    return pixel_tallies.tally(maps[..., -classes:], truth, counted)


def head_on(
    grid: tuple[int, ...], image: Float[Array, "n *space c"]
) -> Bool[Array, "n *grid"]:
    """Where the head is on the grid of the masks."""
    inside = pixel_tallies.inside_head(image)
    return jax.image.resize(inside, (len(image), *grid), "nearest")


def window_step(
    variables: Variables,
    resident: Batch,
    batch: Batch,
    *,
    model: nn.Module,
    task: Task,
    loss: Loss,
    mirror: Sequence[str],
) -> Batch:
    """Probabilities of windows times what each counts; the loss of those with a mask.

    What window i counts is the product of `share_<axis>` [n, size of that axis]. It has
    the arguments of eval_step, though nothing of it is resident.
    """
    del resident
    image = normalise.apply(batch["image"], batch["scaling"])
    outputs = run_model(variables, image, model=model, task=task, mirror=mirror)
    size = image.shape[1:-1]
    probs = task.resize(outputs.probs, size) * window_share(batch, size)
    if "mask" not in batch:
        return {"probs": probs}
    per_window, _ = loss(task.resize(outputs.logits, size), batch)
    return {"probs": probs, "loss": per_window}


def window_share(batch: Batch, size: tuple[int, ...]) -> Float[Array, "n *size 1"]:
    """What each position of windows counts."""
    whole: Any = 1.0
    for axis, length in enumerate(size):
        spread = [1] * (len(size) + 2)
        spread[0], spread[axis + 1] = -1, length
        whole = whole * batch[f"share_{axis}"].reshape(spread)
    return whole


def run_model(
    variables: Variables,
    image: Float[Array, "n *space c"],
    *,
    model: nn.Module,
    task: Task,
    mirror: Sequence[str],
) -> Outputs:
    """On normalised images, at their own size, by variables that were folded or not."""
    logits: Any = folding.apply(model, variables, image)
    probs = task.probabilities(logits)
    flips = mirroring.mirror_axes(mirror, image.ndim - 2)
    for axes in flips:
        mirrored: Any = folding.apply(model, variables, jnp.flip(image, axes))
        unflipped = task.unflip(task.probabilities(mirrored), axes)
        probs = jax.tree.map(jnp.add, probs, unflipped)
    return Outputs(logits, jax.tree.map(lambda maps: maps / (1 + len(flips)), probs))
