"""One training step and one evaluation step: pure, and the same for every model."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from brainseg_jax import freeze, normalise
from brainseg_jax.state import TrainState
from brainseg_jax.tasks import Task

MIRRORS = {"vertical": 1, "horizontal": 2}  # name -> axis of a batch of images

Batch = dict[str, Array]
Loss = Callable[
    [Array, Batch], tuple[Float[Array, " n"], dict[str, Float[Array, " n"]]]
]


def train_step(
    state: TrainState,
    resident: Batch,
    batch: Batch,
    rng: jax.Array,
    *,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    loss: Loss,
    augment: Callable[[Array, Batch], Batch],
    mean: Callable[[Any], Any],
    average_decay: float = 0.0,
    frozen: frozenset[tuple[str, ...]] = frozenset(),
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """One update on this device's share of the global batch.

    `batch["place"]` is each example's place in the global batch, from which its keys come;
    `mean` averages over the devices; `frozen` are the modules that stay as they are.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.fold_in(rng, state.step), batch["place"]
    )
    batch = augment(keys, assemble(resident, batch))

    def objective(params):
        params = freeze.stop_gradients(params, frozen)
        with freeze.standing_still(frozen):
            logits, updated = model.apply(
                {**state.variables, "params": params},
                batch["image"],
                train=True,
                keys=keys,
                mutable=["batch_stats"],
            )
        per_example, terms = loss(logits, batch)
        terms = {name: term.mean() for name, term in terms.items()}
        return per_example.mean(), (updated.get("batch_stats", {}), terms)

    (value, (batch_stats, terms)), grads = jax.value_and_grad(objective, has_aux=True)(
        state.params
    )
    value, terms, grads = mean((value, terms, grads))
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    updates = jax.tree.map(lambda update: update * state.rate_scale, updates)
    params = optax.apply_updates(state.params, updates)
    state = state.replace(
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        average=_average(state, params, average_decay),
    )
    scalars = {"loss": value, "gradient_norm": optax.tree.norm(grads), **terms}
    return state, scalars


def refresh_step(
    counted: tuple[TrainState, Int[Array, ""]],
    resident: Batch,
    batch: Batch,
    rng: jax.Array,
    *,
    model: nn.Module,
    frozen: frozenset[tuple[str, ...]] = frozenset(),
) -> tuple[tuple[TrainState, Int[Array, ""]], dict[str, Array]]:
    """Takes one more batch into the statistics of the averaged weights.

    Batch normalisation needs the statistics of the very weights it is evaluated with; the
    running ones are of those that trained. `counted` is a state and how many batches its
    averaged statistics are the mean of (Izmailov et al. 2018, arXiv 1803.05407, section
    3.2). Images are not augmented, as in evaluation.
    """
    state, count = counted
    batch = assemble(resident, batch)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, batch["place"])
    with freeze.standing_still(frozen), freeze.forgetting():
        _, updated = model.apply(
            state.average,
            batch["image"],
            train=True,
            keys=keys,
            mutable=["batch_stats"],
        )
    mean = jax.tree.map(
        lambda mean, new: jnp.where(count == 0, new, mean + (new - mean) / (count + 1)),
        state.average["batch_stats"],
        updated["batch_stats"],
    )
    average = {**state.average, "batch_stats": mean}
    return (state.replace(average=average), count + 1), {}


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
    """Loss and what the task measures of each example."""
    batch = assemble(resident, batch)
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
    batch = assemble(resident, batch)
    return {"probs": _logits_and_probs(variables, batch, model, task, mirror)[1]}


def assemble(resident: Batch, batch: Batch) -> Batch:
    """The batch with what lies on the device taken by index, and its image normalised."""
    taken = {
        name: jnp.take(values, batch["index"], axis=0, mode="clip")
        for name, values in resident.items()
    }
    batch = {**batch, **taken}
    if "share" in batch:
        batch["share"] = batch["share"].astype(jnp.float32) / 255
    return {**batch, "image": normalise.apply(batch["image"], batch["scaling"])}


def mirror_axes(mirror: Sequence[str]) -> list[tuple[int, ...]]:
    """Every way to flip along some of the named directions, but for none at all."""
    if unknown := set(mirror) - MIRRORS.keys():
        raise ValueError(
            f"config.evaluation.mirror has {unknown.pop()!r}; "
            f"it can hold {', '.join(MIRRORS)}."
        )
    axes = [MIRRORS[name] for name in mirror]
    sizes = range(1, len(axes) + 1)
    return [flip for size in sizes for flip in itertools.combinations(axes, size)]


def _logits_and_probs(variables, batch, model, task, mirror):
    """Logits and probabilities at the size that is scored; averaged over mirror images."""
    image = batch["image"]
    logits = model.apply(variables, image)
    probs = task.probabilities(logits)
    for axes in (flips := mirror_axes(mirror)):
        mirrored = task.probabilities(model.apply(variables, jnp.flip(image, axes)))
        probs = probs + task.unflip(mirrored, axes)
    probs = probs / (1 + len(flips))
    return task.resize(logits, batch), task.resize(probs, batch)


def _average(state: TrainState, params: Any, decay: float) -> Any:
    """Of the weights; `refresh_step` finds the statistics that fit them."""
    if not decay:
        return state.average
    # Early on a shorter memory, so that the initial weights are soon forgotten.
    warm = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
    # In this form what does not move keeps its average to the last bit.
    averaged = jax.tree.map(
        lambda average, new: average + (1 - warm) * (new - average),
        state.average["params"],
        params,
    )
    return {**state.average, "params": averaged}
