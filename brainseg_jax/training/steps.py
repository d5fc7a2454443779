"""A training step, and one that finds batch statistics: pure, the same for every model."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from brainseg_jax.data import inputs
from brainseg_jax.training import freezing
from brainseg_jax.training.objective import Loss
from brainseg_jax.training.state import TrainState

Batch = dict[str, Array]


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
    average_decay: float,
    frozen: frozenset[tuple[str, ...]] = frozenset(),
    accumulate: int = 1,
    patch: Sequence[int] = (),
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """One update on this device's share of the global batch.

    `batch["place"]` is each example's place in the global batch, from which its keys come;
    `mean` averages over the devices; `frozen` are the modules that stay as they are. The
    share is seen in `accumulate` parts, one after the other, whose gradients are averaged.
    `patch` is the size of what is cut out of resident examples.
    """

    def differentiate(batch):
        return _differentiate(
            state,
            resident,
            batch,
            rng,
            model=model,
            loss=loss,
            augment=augment,
            frozen=frozen,
            patch=patch,
        )

    if accumulate == 1:
        found = differentiate(batch)
    else:
        found = _mean_over_parts(differentiate, batch, accumulate)
    value, terms, grads = mean((found.loss, found.terms, found.gradient))
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    updates = jax.tree.map(lambda update: update * state.rate_scale, updates)
    params = optax.apply_updates(state.params, updates)
    state = state.replace(
        step=state.step + 1,
        params=params,
        batch_stats=found.batch_stats,
        opt_state=opt_state,
        average=_average(state, params, found.batch_stats, average_decay),
    )
    scalars = {"loss": value, "gradient_norm": optax.tree.norm(grads), **terms}
    return state, scalars


class Found(NamedTuple):
    """What a part of a batch says: means over its examples."""

    loss: Float[Array, ""]
    terms: dict[str, Float[Array, ""]]
    gradient: Any
    batch_stats: Any


def _differentiate(
    state: TrainState,
    resident: Batch,
    batch: Batch,
    rng: jax.Array,
    *,
    model: nn.Module,
    loss: Loss,
    augment: Callable[[Array, Batch], Batch],
    frozen: frozenset[tuple[str, ...]],
    patch: Sequence[int],
) -> Found:
    """Loss and gradient of some examples, assembled and augmented by their keys."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(
        jax.random.fold_in(rng, state.step), batch["place"]
    )
    batch = augment(keys, inputs.assemble(resident, batch, patch))

    def objective(params):
        params = freezing.stop_gradients(params, frozen)
        with freezing.standing_still(frozen):
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

    (value, (batch_stats, terms)), gradient = jax.value_and_grad(
        objective, has_aux=True
    )(state.params)
    return Found(value, terms, gradient, batch_stats)


def _mean_over_parts(
    differentiate: Callable[[Batch], Found], batch: Batch, count: int
) -> Found:
    """The mean of what equal parts of a batch say, one after the other.

    Of a net without statistics of batches it is what the whole says, but for rounding.
    Each part has every `count`-th example, so that on a mesh all devices have some of it.
    """
    parts = jax.tree.map(
        lambda values: values.reshape(-1, count, *values.shape[1:]).swapaxes(0, 1),
        batch,
    )
    one = jax.tree.map(lambda values: values[0], parts)
    nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(differentiate, one))

    def add(total: Found, part: Batch) -> tuple[Found, None]:
        return jax.tree.map(jnp.add, total, differentiate(part)), None

    total, _ = jax.lax.scan(add, nothing, parts)
    return jax.tree.map(lambda values: values / count, total)


def refresh_step(
    counted: tuple[TrainState, Int[Array, ""]],
    resident: Batch,
    batch: Batch,
    rng: jax.Array,
    *,
    model: nn.Module,
    frozen: frozenset[tuple[str, ...]] = frozenset(),
    patch: Sequence[int] = (),
) -> tuple[tuple[TrainState, Int[Array, ""]], dict[str, Array]]:
    """Takes one more batch into the statistics of the averaged weights.

    Batch normalisation needs the statistics of the very weights it is evaluated with; the
    running ones are of those that trained. `counted` is a state and how many batches its
    averaged statistics are the mean of (Izmailov et al. 2018, arXiv 1803.05407, section
    3.2). Images are not augmented, as in evaluation.
    """
    state, count = counted
    batch = inputs.assemble(resident, batch, patch)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng, batch["place"])
    with freezing.standing_still(frozen), freezing.forgetting():
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


def _average(state: TrainState, params: Any, batch_stats: Any, decay: float) -> Any:
    """Of the weights; the statistics are the running ones until `refresh_step` finds
    those that fit them.
    """
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
    statistics = {"batch_stats": batch_stats} if batch_stats else {}
    return {"params": averaged, **statistics}
