"""A run's best model, from its checkpoints alone: its record, its parts, its weights."""

import dataclasses
import pathlib
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


def restore(workdir: str | pathlib.Path) -> Restored:
    """The best model of a run: the steps below, one after the other.

    A run that still trains may replace its best checkpoint meanwhile; then they begin anew.

    Raises:
        FileNotFoundError: if the folder holds no checkpoint.
    """
    number = best_checkpoint(workdir)
    try:
        record = read_record(workdir, number)
        parts = rebuild_parts(record.about)
        return Restored(record, parts, read_variables(workdir, number, record, parts))
    except (OSError, ValueError):
        if best_checkpoint(workdir) == number:
            raise
    logging.info("The best checkpoint of %s was just replaced; reading again.", workdir)
    return restore(workdir)


def best_checkpoint(workdir: str | pathlib.Path) -> int:
    """The number of a run's best checkpoint.

    Raises:
        FileNotFoundError: if there is none.
    """
    if (pathlib.Path(workdir) / checkpoints.FOLDER).is_dir():
        with checkpoints.Checkpoints(workdir, read_only=True) as saved:
            if saved.best is not None:
                return saved.best
    raise FileNotFoundError(
        f"{workdir} holds no checkpoint; give the --workdir of a training that has "
        "finished at least one epoch."
    )


def read_record(workdir: str | pathlib.Path, number: int) -> Record:
    """What a checkpoint says; its history goes on to the end of the last checkpoint's."""
    with checkpoints.Checkpoints(workdir, read_only=True) as saved:
        record = records.from_json(saved.record(number))
        last = records.from_json(saved.record(saved.latest))
    progress = dataclasses.replace(record.progress, history=last.progress.history)
    return record._replace(progress=progress)


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
