"""Images per second of every 2D model, forward and in training, beside PyTorch's."""

import functools
import importlib
import importlib.util
import itertools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from absl import logging
from rich import box
from rich.console import Console
from rich.table import Table

from brainseg_jax import models, registry
from brainseg_jax.benchmarks import cost
from brainseg_jax.losses import dice

ROUNDS = 3
CHANNELS = 3
# One sigmoid, for classifiers and segmentation nets alike.
OUTPUTS = 1
# Forms of a model that cost the same but for this share are timed once: classifiers that
# differ in the head do. EfficientNetB0 and Lite0, which are not alike, differ by 0.4 %.
SAME_COST = 1e-3


class Timed(NamedTuple):
    """Something to repeat, and what it is called in the table."""

    framework: str
    what: str  # forward or training
    once: Callable[[], None]


def benchmark_models(size: int = 256, batch: int = 0) -> list[dict[str, Any]]:
    """Prints a table and returns its rows; a batch of 0 means 2 on a CPU, else 16.

    Raises:
        ValueError: if the batch is negative.
    """
    if batch < 0:
        raise ValueError(f"--batch is {batch}; it has to be 1 or more, 0 to choose it.")
    batch = batch or (2 if jax.default_backend() == "cpu" else 16)
    shape, rows = (batch, size, size, CHANNELS), []
    for name, form in two_dimensional(shape):
        options = registry.find(models, name).PUBLISHED[form].options
        logging.info("%s, %s", name, form)
        timed = [*of_jax(name, options, shape), *of_torch(name, form, shape)]
        seconds = fastest(timed)
        rows.append({"model": name, "form": form} | {
            f"{framework} {what}": batch / best
            for (framework, what), best in seconds.items()
        })  # fmt: skip
    table = Table(
        title=f"Images/s at {size}x{size}, batches of {batch}, float32, on "
        f"{jax.devices()[0].device_kind}",
        box=box.MARKDOWN,
    )
    columns = list(dict.fromkeys(itertools.chain(*rows)))
    for column in columns:
        left = column in ("model", "form")
        table.add_column(column, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row[name]) if name in row else "" for name in columns))
    Console(width=Console(width=1000).measure(table).maximum).print(table)
    return rows


def two_dimensional(shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """The forms of the nets for images of `shape` [n, h, w, c], one of each cost."""
    chosen = []
    for name in registry.names(models):
        module, costs = registry.find(models, name), list[float]()
        for form, published in module.PUBLISHED.items():
            if len(published.shape) != 3:
                continue
            gflop = cost.gflop(module.Model(OUTPUTS, **published.options), shape)
            if not any(math.isclose(gflop, one, rel_tol=SAME_COST) for one in costs):
                costs.append(gflop)
                chosen.append((name, form))
    return chosen


def of_jax(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> list[Timed]:
    """Forward and training step with AdamW, in float32."""
    model = registry.find(models, name).Model(OUTPUTS, **options)
    image = jax.random.uniform(jax.random.key(0), shape)
    keys = jax.random.split(jax.random.key(1), len(image))
    # Values of this kind of key take far less to compile.
    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    stats = {k: v for k, v in variables.items() if k != "params"}
    optimizer = optax.adamw(1e-3)
    forward = jax.jit(model.apply)

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, stats, opt_state):
        def loss(params):
            logits, updated = model.apply(
                {**stats, "params": params},
                image,
                train=True,
                keys=keys,
                mutable=["batch_stats"],
            )
            return _loss(logits), updated

        grads, stats = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), stats, opt_state

    trained = [
        (jax.tree.map(jnp.copy, variables["params"]), jax.tree.map(jnp.copy, stats),
         optimizer.init(variables["params"]))
    ]  # fmt: skip

    def train_once() -> None:
        trained.append(jax.block_until_ready(step(*trained.pop())))

    return [
        Timed(
            "JAX", "forward", lambda: jax.block_until_ready(forward(variables, image))
        ),
        Timed("JAX", "training", train_once),
    ]


def of_torch(name: str, form: str, shape: tuple[int, ...]) -> list[Timed]:
    """The same in PyTorch in both memory layouts, if it is installed and has the net."""
    if importlib.util.find_spec("torch") is None:
        return []
    peer = importlib.import_module("brainseg_jax.benchmarks.torch_nets")
    timed = []
    for layout in ("PyTorch", "channels last"):
        steps = peer.steps_of(name, form, shape, channels_last=layout != "PyTorch")
        timed += [Timed(layout, what, once) for what, once in steps.items()]
    return timed


def fastest(timed: list[Timed]) -> dict[tuple[str, str], float]:
    """The least seconds of each over ROUNDS rounds in turn, after one to warm up."""
    best: dict[tuple[str, str], float] = {}
    for one in timed:
        one.once()
    for _, one in itertools.product(range(ROUNDS), timed):
        start = time.perf_counter()
        one.once()
        spent = time.perf_counter() - start
        key = (one.framework, one.what)
        best[key] = min(best[key], spent) if key in best else spent
    return best


def _loss(logits: jax.Array | tuple[jax.Array, ...]) -> jax.Array:
    """Cross-entropy, plus Dice for masks, as on PyTorch's side."""
    logits = logits[0] if isinstance(logits, tuple) else logits
    target = jnp.zeros_like(logits)
    loss = optax.sigmoid_binary_cross_entropy(logits, target).mean()
    if logits.ndim == 2:
        return loss
    return loss + dice.loss(logits, target, exclusive=False).mean()


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"
