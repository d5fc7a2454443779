"""Learning-rate schedules and optimisers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from brainseg_jax.training import freezing

SCHEDULES = ("constant", "cosine", "step", "plateau")
Schedule = Callable[[Array | int], Float[Array, ""]]


def make_schedule(
    *,
    name: str,
    rate: float,
    warmup_steps: int,
    final: float,
    step_epochs: int,
    factor: float,
    decay: float,
    steps_per_epoch: float,
    total_steps: int,
    restarts: Sequence[int] = (),
) -> Schedule:
    """Rate at a step: a linear warm-up from 0, then that of `name`, one of SCHEDULES.

    "cosine" begins anew at each of the steps `restarts` (Loshchilov & Hutter 2017, arXiv
    1608.03983). "plateau" falls by `decay` alone here, every `step_epochs`: its drops
    depend on scores and lie in the state.
    """
    falls = {"step": factor, "plateau": decay}

    def schedule(step: Array | int) -> Float[Array, ""]:
        value = jnp.asarray(rate, jnp.float32)
        if name == "cosine":
            starts, ends = (warmup_steps, *restarts), (*restarts, total_steps)
            progress = _share_of_cycle(step, starts, ends)
            value *= final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
        if name in falls:
            value *= falls[name] ** jnp.floor(step / (step_epochs * steps_per_epoch))
        return value * jnp.minimum(1.0, (step + 1) / (warmup_steps + 1))

    return schedule


def _share_of_cycle(
    step: Array | int, starts: Sequence[int], ends: Sequence[int]
) -> Float[Array, ""]:
    """How much of the cycle that it is in a step has behind it."""
    shares = [
        jnp.clip((step - start) / max(1, end - start), 0, 1)
        for start, end in zip(starts, ends, strict=True)
    ]
    current = shares[0]
    for start, share in zip(starts[1:], shares[1:], strict=True):
        current = jnp.where(jnp.asarray(step) >= start, share, current)
    return current


def make_optimizer(
    schedule: Schedule,
    *,
    name: str,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    clip: float,
    encoder_rate: float,
    frozen: frozenset[tuple[str, ...]] = frozenset(),
) -> optax.GradientTransformation:
    """One of OPTIMIZERS, with the gradient's global norm clipped first.

    The encoder's rate is `encoder_rate` times the schedule's; the `frozen` modules (see
    freezing.py) are left alone.
    """

    def update(share: float) -> optax.GradientTransformation:
        parts = [OPTIMIZERS[name](b1=b1, b2=b2, eps=eps)]
        if name == "adamw":
            parts.append(optax.add_decayed_weights(weight_decay, mask=_kernels))
        rate = optax.scale_by_learning_rate(lambda step: share * schedule(step))
        return optax.chain(*parts, rate)

    parts = [optax.clip_by_global_norm(clip)] if clip else []
    if encoder_rate == 1 and not frozen:
        return optax.chain(*parts, update(1.0))
    by_label = {
        "rest": update(1.0),
        freezing.ENCODER: update(encoder_rate),
        "frozen": optax.set_to_zero(),
    }
    return optax.chain(
        *parts,
        optax.partition(by_label, lambda params: freezing.labels(params, frozen)),
    )


def scale_by_keras_adam(
    b1: float, b2: float, eps: float
) -> optax.GradientTransformation:
    """Adam with Keras's epsilon, which stands outside the bias correction.

    Kingma & Ba 2015 (arXiv 1412.6980), the "epsilon hat" of section 2. With an epsilon of
    0.1, as systems 002 and 003 use, the first steps are some thirty times larger than
    with the usual one.
    """

    def update(grads, state, params=None):
        del params
        count = state.count + 1
        mu = optax.tree.update_moment(grads, state.mu, b1, 1)
        nu = optax.tree.update_moment_per_elem_norm(grads, state.nu, b2, 2)
        correction = jnp.sqrt(1 - b2**count) / (1 - b1**count)
        updates = jax.tree.map(
            lambda m, v: correction * m / (jnp.sqrt(v) + eps), mu, nu
        )
        return updates, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


OPTIMIZERS = {
    "adam": optax.scale_by_adam,
    "adamw": optax.scale_by_adam,
    "keras_adam": scale_by_keras_adam,
}


class Plateau(NamedTuple):
    """Best score so far, epochs since, and what is left of the rate."""

    best: float | None = None
    waited: int = 0
    scale: float = 1.0


def update_plateau(
    plateau: Plateau,
    score: float,
    *,
    factor: float,
    patience: int,
    min_delta: float,
    floor: float,
) -> Plateau:
    """After an epoch with `score` (higher is better); `floor` bounds the scale below.

    A score counts as better if it is so by more than `min_delta`.
    """
    if plateau.best is None or score > plateau.best + min_delta:
        return plateau._replace(best=score, waited=0)
    if plateau.waited + 1 < patience:
        return plateau._replace(waited=plateau.waited + 1)
    return plateau._replace(waited=0, scale=max(floor, plateau.scale * factor))


def _kernels(params: Any) -> Any:
    """Decay kernels alone: biases and norms have one axis."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)
