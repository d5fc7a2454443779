"""A run's best model, from its checkpoints alone: its record, its parts, its weights."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import logging

from brainseg_jax.runs import checkpoints, experiment, records
from brainseg_jax.runs.experiment import Parts
from brainseg_jax.runs.records import About, Record


class Restored(NamedTuple):
    """The best model of a run, and what its checkpoint says of it."""

    record: Record
    parts: Parts
    variables: dict[str, Any]


class NoCheckpoint(FileNotFoundError):
    """There is nothing to read in a folder, or not yet."""


def restore(workdir: str | pathlib.Path) -> Restored:
    """The best model of a run: the steps below, one after the other.

    Raises:
        NoCheckpoint: if the folder holds none.
        ValueError: if a checkpoint is damaged, or too old.
    """

    def steps() -> Restored:
        number, record = _read_best(workdir)
        parts = rebuild_parts(record.about)
        return Restored(record, parts, read_variables(workdir, number, record, parts))

    return _once_more(steps, workdir)


def read_best(workdir: str | pathlib.Path) -> Record:
    """What the best checkpoint says; its history goes on to the last checkpoint's end.

    Raises:
        NoCheckpoint: if the folder holds none.
        ValueError: if a checkpoint is damaged, or too old.
    """
    return _once_more(lambda: _read_best(workdir), workdir)[1]


def _once_more(read: Callable[[], Any], workdir: str | pathlib.Path) -> Any:
    """Reads again where it failed: a run that still trains deletes what it replaces."""
    try:
        return read()
    except NoCheckpoint:
        raise
    except (OSError, ValueError) as error:
        logging.info("Reading %s once more: %s", workdir, error)
    return read()


def _read_best(workdir: str | pathlib.Path) -> tuple[int, Record]:
    if not (pathlib.Path(workdir) / checkpoints.FOLDER).is_dir():
        raise NoCheckpoint(NO_CHECKPOINT.format(workdir))
    with checkpoints.Checkpoints(workdir, read_only=True) as saved:
        if saved.best is None:
            raise NoCheckpoint(NO_CHECKPOINT.format(workdir))
        record = records.from_json(saved.record(saved.best))
        last = records.from_json(saved.record(saved.latest))
        progress = dataclasses.replace(record.progress, history=last.progress.history)
        choice = records.choose(record.about, progress, best=saved.has_score)
        return saved.best, record._replace(progress=progress, choice=choice)


NO_CHECKPOINT = (
    "{} holds no checkpoint; give the --workdir of a training that has finished at "
    "least one epoch."
)


def rebuild_parts(about: About) -> Parts:
    """Task, model and loss as they were trained."""
    return experiment.make_parts(about.settings, about.info)


def read_variables(
    workdir: str | pathlib.Path, number: int, record: Record, parts: Parts
) -> dict[str, Any]:
    """What the model is evaluated with, on the first device of this process."""
    shapes = dict(
        jax.eval_shape(
            parts.model.init,
            jax.random.key(0),
            jax.ShapeDtypeStruct(parts.shape, jnp.float32),
        )
    )
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        shapes,
    )
    averaged = record.about.config["ema_decay"] > 0
    average = (shapes if record.current else shapes["params"]) if averaged else {}
    saved = {"params": shapes["params"], "batch_stats": {}, **shapes}
    with checkpoints.Checkpoints(workdir, read_only=True) as opened:
        found = opened.restore_variables(number, {**saved, "average": average})
    trained = {name: found[name] for name in shapes}
    if not averaged:
        return trained
    if record.current:
        return found["average"]
    return {**trained, "params": found["average"]}
