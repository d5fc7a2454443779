"""Speeds as ratios in one run: real data beside one constant batch, and PyTorch's step."""

import itertools
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict
from rich.console import Console
from rich.table import Table

from brainseg_jax.benchmarks import jax_steps, machine, peers, results, timing
from brainseg_jax.data import reading, sources
from brainseg_jax.runs import build, encoder_weights, precision
from brainseg_jax.training.state import TrainState, create_state

ROUNDS = 3
SECONDS = 10.0  # about as long as a round takes, an epoch at the most


def benchmark(config: ConfigDict, outputs: str = "") -> dict[str, float]:
    """Prints steps on real data beside steps on one batch; PyTorch's where installed.

    The figures also go to the JSON file `outputs`, if one is named.
    """
    precision.set_precision(config)
    config = encoder_weights.resolve(config)
    with tempfile.TemporaryDirectory() as folder:
        run = build.make_run(config, pathlib.Path(folder))
    figures = _compare_data(run, run.fresh_state())
    figures["peak_memory_gib"] = peak_memory() / 2**30
    _print_data(run, figures)
    torch_steps = peers.find() if run.parts.task.name == "segmentation" else None
    theirs = _torch_steps(run, torch_steps) if torch_steps else {}
    if theirs:
        figures |= _compare_torch(run, theirs)
    else:
        logging.info("No PyTorch, or no net of its kind, to compare the step with.")
    if outputs:
        about = machine.describe(torch_steps.threads() if torch_steps else None)
        settings = run.config.to_dict()
        results.write(
            outputs,
            results.OF_EXPERIMENT,
            machine=about,
            config=settings,
            figures=figures,
        )
        print(f"The figures are in {outputs}.")
    return figures


def peak_memory() -> int:
    """Bytes of main memory that this process has held at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _compare_data(run: build.Run, state: TrainState) -> dict[str, float]:
    """Times rounds of both in turn, so that a busy machine slows both down."""
    first = run.devices.shard(next(_batches(run, 0, 1)))
    state, _ = _time_steps(run, state, itertools.repeat(first, 2))  # compiles
    state, (once, _) = _time_steps(run, state, itertools.repeat(first, 3))
    steps = max(5, min(run.order.epoch_end(1), round(3 * SECONDS / once)))
    rounds = []
    for turn in range(ROUNDS):
        real = map(run.devices.shard, _batches(run, turn * steps, (turn + 1) * steps))
        state, real_times = _time_steps(run, state, real)
        state, constant_times = _time_steps(run, state, itertools.repeat(first, steps))
        rounds.append((real_times, constant_times))
    real_total, waiting = np.sum([real for real, _ in rounds], axis=0)
    constant_total = np.sum([constant for _, constant in rounds], axis=0)[0]
    images = ROUNDS * steps * run.config.batch_size
    return {
        "images_per_second_real": images / real_total,
        "images_per_second_constant": images / constant_total,
        "real_over_constant": real_total / constant_total,
        "share_of_time_in_data": waiting / real_total,
        "steps": ROUNDS * steps,
    }


def _batches(run: build.Run, start: int, stop: int) -> Iterator[sources.Batch]:
    return reading.training_batches(
        run.training, run.order, start, stop, resident=bool(run.resident)
    )


def _time_steps(
    run: build.Run, state: TrainState, batches: Iterator[Any]
) -> tuple[TrainState, tuple[float, float]]:
    """The state after all batches; seconds in all, and of them waiting for batches."""
    waited, start = 0.0, time.perf_counter()
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - asked
        if batch is None:
            break
        state, _ = run.train_step(state, run.resident, batch, run.rng)
    jax.block_until_ready(state.params)
    return state, (time.perf_counter() - start, waited)


def _print_data(run: build.Run, figures: dict[str, float]) -> None:
    config = run.config
    table = Table(
        title=f"{config.model.name} on {run.training.info.name}, batch "
        f"{config.batch_size} of {'x'.join(map(str, config.data.size))}, cache "
        f"{config.data.cache}, {len(run.devices.devices)} devices by {run.devices.mode}",
        caption=run.note,
    )
    for column in ("figure", "value"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), f"{value:.3f}")
    Console().print(table)


def _shape(run: build.Run) -> tuple[int, ...]:
    """Of a batch: [n, *space, c]."""
    config = run.config
    return (config.batch_size, *config.data.size, run.parts.shape[-1])


def _torch_steps(
    run: build.Run, torch_steps: ModuleType
) -> dict[str, Callable[[], None]]:
    name, model = run.config.model.name, run.parts.model
    return torch_steps.training_steps(name, model, _shape(run))


def _compare_torch(
    run: build.Run, theirs: dict[str, Callable[[], None]]
) -> dict[str, float]:
    """The bare training step of the same net: forward, backward and Adam, both ways."""
    shape = _shape(run)
    steps = {"JAX": _bare_step(run, shape), **theirs}
    spreads = timing.measure(steps, SECONDS)
    best = spreads["JAX"].median
    table = Table(
        title=f"Training step of {run.config.model.name}, batch {shape}",
        caption="Medians over rounds in turns, ± half the distance of the quartiles.",
    )
    for column in ("framework", "ms", "images/s", "JAX is faster by"):
        table.add_column(column, justify="left" if column == "framework" else "right")
    for name, one in spreads.items():
        table.add_row(
            name,
            f"{1e3 * one.median:.0f} ±{100 * one.share:.1f} %",
            f"{shape[0] / one.median:.1f}",
            f"{one.median / best:.2f}x",
        )
    Console().print(table)
    return {f"step_ms_{name}": 1e3 * one.median for name, one in spreads.items()}


def _bare_step(run: build.Run, shape: tuple[int, ...]) -> Callable[[], None]:
    """One step on random images already on the device: no augmentation, no gathering."""
    model = run.parts.model.clone(axis_name=None)
    image = jax.random.normal(run.rng, shape)
    classes = len(run.training.fit.classes)
    share = jax.random.bernoulli(run.rng, 0.1, (*shape[:-1], classes))

    def loss(logits: jax.Array, share: jax.Array) -> jax.Array:
        return run.parts.loss(logits, {"image": image, "share": share})[0].mean()

    state = create_state(model, run.optimizer, run.rng, (1, *shape[1:]))
    step, _ = jax_steps.training_step(
        model, state.variables, image, share.astype(np.float32), run.optimizer, loss
    )
    return step
