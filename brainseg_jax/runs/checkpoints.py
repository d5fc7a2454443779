"""Orbax checkpoints: the last and the best of a run; the only file that imports orbax.

Numbered in the order of saving: a step may be saved twice, before its evaluation and
after, and neither may be lost for the other. Each holds three things: "variables" (what
the model is applied with), "training" (what only going on needs) and "record" (JSON:
config, data set, folds, history, scores).
"""

import copy
import json
import pathlib
import textwrap
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from brainseg_jax.training.state import TrainState

FOLDER = "checkpoints"
SCORE = "score"
SCORE_FILE = "metrics/metrics"  # orbax's name for it
# Beginnings of what TensorStore says of arrays that it cannot read.
UNREADABLE = ("DATA_LOSS", "OUT_OF_RANGE", "NOT_FOUND", "FAILED_PRECONDITION")

Tree = Any
Record = dict[str, Any]


def exist(workdir: str | pathlib.Path) -> bool:
    """Whether a folder holds a checkpoint that is whole; an empty folder is no run yet."""
    folder = pathlib.Path(workdir) / FOLDER
    return folder.is_dir() and any(path.name.isdigit() for path in folder.iterdir())


class Checkpoints:
    """The checkpoints of one run; a context manager, so that a save in flight finishes."""

    def __init__(self, workdir: str | pathlib.Path, *, read_only: bool = False):
        """`read_only` leaves everything as it is, also what a trainer is writing.

        Raises:
            ValueError: if a checkpoint's score is damaged.
        """
        best = policies.BestN(
            get_metric_fn=_score, n=1, keep_checkpoints_without_metrics=False
        )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(1), best]
            ),
            # Without these two, metrics are not written and the best is the latest.
            best_fn=_score,
            best_mode="max",
            # A reader would delete the checkpoint that is just being written.
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
            create=not read_only,
        )
        self._folder = (pathlib.Path(workdir) / FOLDER).absolute()
        _check_scores(self._folder)
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=options,
            item_names=("variables", "training", "record"),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    @property
    def latest(self) -> int | None:
        """Number of the last checkpoint."""
        return self._manager.latest_step()

    @property
    def best(self) -> int | None:
        """Number of the one with the highest score; the latest where none has one."""
        best = self._manager.best_step() if self.latest is not None else None
        return self.latest if best is None else best

    @property
    def has_score(self) -> bool:
        """Whether the best one was scored, and is not just the latest."""
        return self.latest is not None and self._manager.best_step() is not None

    def save(self, state: TrainState, record: Record, score: float | None) -> None:
        """Writes in the background; `score` (higher is better) where it is the best yet."""
        self._manager.save(
            (self.latest or 0) + 1,
            args=ocp.args.Composite(
                variables=ocp.args.StandardSave(_variables(state)),
                training=ocp.args.StandardSave(_training(state)),
                # A copy: it is written while training goes on and changes the record.
                record=ocp.args.JsonSave(
                    copy.deepcopy({**record, "step": int(state.step)})
                ),
            ),
            metrics=None if score is None else {SCORE: score},
        )

    def wait(self) -> None:
        self._manager.wait_until_finished()

    def record(self, number: int | None) -> Record:
        """What a checkpoint says beside its weights; ValueError if it is damaged."""
        item = ocp.args.Composite(record=ocp.args.JsonRestore())
        found = self._read(number, item)["record"]
        if not isinstance(found, dict) or "step" not in found:
            raise _damaged(self._folder / str(number), KeyError("step"))
        return found

    def restore_state(self, number: int, abstract: TrainState) -> TrainState:
        """A checkpoint's state, with the shapes and shardings of `abstract`."""
        items = ocp.args.Composite(
            variables=ocp.args.StandardRestore(_variables(abstract)),
            training=ocp.args.StandardRestore(_training(abstract)),
        )
        restored = self._read(number, items)
        return TrainState(**restored["variables"], **restored["training"])

    def restore_variables(self, number: int, abstract: dict[str, Tree]) -> dict:
        """A checkpoint's "variables", with the shapes and shardings of `abstract`."""
        item = ocp.args.Composite(variables=ocp.args.StandardRestore(abstract))
        return self._read(number, item)["variables"]

    def _read(self, number: int | None, items: ocp.args.Composite) -> Any:
        try:
            return self._manager.restore(number, args=items)
        except Exception as error:  # orbax raises just this over unreadable arrays
            if not _is_damage(error):
                raise
            raise _damaged(self._folder / str(number), error) from error


def _check_scores(folder: pathlib.Path) -> None:
    """Refuses a damaged score, of which orbax would not say where it lies."""
    for path in folder.glob(f"*/{SCORE_FILE}"):
        checkpoint = path.parents[1]
        if not checkpoint.name.isdigit():  # it is just being written
            continue
        try:
            float(_score(json.loads(path.read_text())))
        except FileNotFoundError:  # replaced meanwhile by a run that still trains
            continue
        except (ValueError, LookupError, TypeError) as error:
            raise _damaged(checkpoint, error) from error


def _is_damage(error: Exception) -> bool:
    """Whether it is of bytes on the disk, and not of a state of another shape."""
    if type(error) is ValueError:
        return str(error).startswith(UNREADABLE)
    kinds = (ValueError, LookupError, TypeError, AttributeError, FileNotFoundError)
    return isinstance(error, kinds) or type(error) is Exception


def _damaged(folder: pathlib.Path, error: Exception) -> ValueError:
    """What is said of a checkpoint that cannot be read, and what is left to do."""
    lacks = "it lacks " if isinstance(error, KeyError) else ""
    reason = textwrap.shorten(str(error.__cause__ or error), 160).rstrip(".")
    others = folder.parent.glob("[0-9]*")
    if any(path.name.isdigit() and path != folder for path in others):
        remedy = "Delete that folder, and the run goes on from another one."
    else:
        remedy = "There is no other: the run has to start anew in another --workdir."
    return ValueError(f"The checkpoint {folder} is damaged: {lacks}{reason}. {remedy}")


def abstract(state: TrainState) -> TrainState:
    """Shapes, dtypes and shardings of a state, to restore another like it."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=leaf.sharding
        ),
        state,
    )


def _score(metrics: Mapping[str, float]) -> float:
    return metrics[SCORE]


def _variables(state: TrainState) -> dict[str, Tree]:
    return {
        "params": state.params,
        "batch_stats": state.batch_stats,
        "average": state.average,
    }


def _training(state: TrainState) -> dict[str, Tree]:
    return {
        "step": state.step,
        "opt_state": state.opt_state,
        "rate_scale": state.rate_scale,
    }
