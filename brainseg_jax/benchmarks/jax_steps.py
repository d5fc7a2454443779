"""Forward pass and training step of a net in JAX: cross-entropy, Dice, AdamW, float32."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from brainseg_jax.benchmarks import compiling
from brainseg_jax.losses import dice

Once = Callable[[], None]


def steps_of(
    net: nn.Module, shape: tuple[int, ...]
) -> tuple[dict[str, Once], compiling.Compiled]:
    """Forward and training, to be repeated on one device; and the compiled training."""
    image = jax.random.normal(jax.random.key(0), shape)
    # Values of this kind of key take far less to compile.
    variables: Any = jax.jit(net.init)(jax.random.key(0, impl="rbg"), image)
    forward = jax.jit(net.apply).lower(variables, image).compile()

    def forward_once() -> None:
        jax.block_until_ready(forward(variables, image))

    logits = jax.eval_shape(net.apply, variables, image)
    target = jax.tree.map(
        lambda one: jax.random.bernoulli(jax.random.key(2), 0.1, one.shape).astype(
            jnp.float32
        ),
        logits,
    )
    train_once, compiled = training_step(
        net, variables, image, target, optax.adamw(1e-3), loss
    )
    return {"forward": forward_once, "training": train_once}, compiled


def training_step(
    net: nn.Module,
    variables: Any,
    image: jax.Array,
    target: Any,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any, Any], jax.Array],
) -> tuple[Once, compiling.Compiled]:
    """A step on one batch, which goes on from the last; and the same as compiled."""
    params = variables["params"]
    stats = {name: part for name, part in variables.items() if name != "params"}
    keys = jax.random.split(jax.random.key(1), len(image))

    def step(state, image, target, keys):
        params, stats, opt_state = state

        def objective(params):
            logits, updated = net.apply(
                {**stats, "params": params},
                image,
                train=True,
                keys=keys,
                mutable=["batch_stats"],
            )
            return loss(logits, target), updated

        grads, stats = jax.grad(objective, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), stats, opt_state

    # Given away at every step, so it starts with a copy.
    state = jax.tree.map(jnp.copy, (params, stats, optimizer.init(params)))
    arguments = (image, target, keys)
    compiled = compiling.compile_anew(
        jax.jit(step, donate_argnums=0), state, *arguments
    )
    states = [state]

    def once() -> None:
        states.append(jax.block_until_ready(compiled.call(states.pop(), *arguments)))

    return once, compiled


def loss(logits: Any, target: Any) -> jax.Array:
    """Cross-entropy, plus Dice for masks, as on PyTorch's side; of two heads the sum."""
    logits = logits[0] if isinstance(logits, tuple) else logits
    of_heads = jax.tree.map(_loss_of_one, logits, target)
    losses: list[jax.Array] = jax.tree.leaves(of_heads)
    return sum(losses[1:], losses[0])


def _loss_of_one(logits: jax.Array, target: jax.Array) -> jax.Array:
    entropy = optax.sigmoid_binary_cross_entropy(logits, target).mean()
    if logits.ndim == 2:
        return entropy
    return entropy + dice.loss(logits, target, exclusive=False).mean()
