"""What a checkpoint says beside its weights: what stays the same, and what moves."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from brainseg_jax.data import info as data_info
from brainseg_jax.data.sources import Source
from brainseg_jax.runs import renamed
from brainseg_jax.training.optimisers import Plateau

Row = dict[str, Any]

# Keys that base.py got later, each with the value that says what older runs did.
LATER_KEYS = {
    "task.foreground": "",
    "task.targets": "classes",
    "label_losses": {},
    "accumulate": 1,
    "schedule.decay": 1.0,
    "schedule.cycle_epochs": 0,
    "augment.fill": "edge",
    "augment.flip_depth": 0.0,
    "augment.low_resolution": 0.0,
    "augment.channel_dropout": 0.0,
    "data.patch": [],
    "data.channels": [],
    "data.neighbours": 0,
    "init_channels": "match",
    "matmul_precision": "default",
    "evaluation.surface_distances": "max_directed",
    "evaluation.tolerance": 1.0,
    "evaluation.pixel_calibration": "head",
    "evaluation.window": [],
    "evaluation.overlap": 0.5,
    "evaluation.window_batch": 1,
}


@dataclasses.dataclass(frozen=True)
class About:
    """What stays the same from the first step of a run to the last.

    When a run goes on, its environment is renewed, and the keys that it may change.
    """

    config: Mapping[str, Any]
    data: Mapping[str, Any]  # data.info.Info, and a hash of the training examples
    note: str
    trained_patients: tuple[str, ...]
    chosen_patients: tuple[str, ...]  # by whose scores the best epoch was chosen
    parameters: int
    batch_statistics: int
    environment: Mapping[str, Any]

    @property
    def settings(self) -> ConfigDict:
        """The config again, as a config."""
        return ConfigDict(dict(self.config), convert_dict=True).lock()

    @property
    def info(self) -> data_info.Info:
        return data_info.from_record(self.data)


@dataclasses.dataclass(frozen=True)
class Progress:
    """What moves: replaced as a whole, never changed in place."""

    epoch: int = 0  # epochs that are closed
    sums: Mapping[str, float] = dataclasses.field(default_factory=dict)  # of this one
    history: tuple[Row, ...] = ()  # a row per closed epoch
    best_score: float | None = None  # higher is better
    best_epoch: int | None = None
    waited: int = 0  # evaluations since the best
    plateau: Plateau = Plateau()


class Record(NamedTuple):
    """Everything that a checkpoint says beside its weights."""

    about: About
    progress: Progress
    step: int
    current: bool = True  # False: written before averages had statistics of their own


def to_json(about: About, progress: Progress) -> dict[str, Any]:
    """Plain JSON that shares nothing with a run that goes on."""
    plain = dataclasses.asdict(progress)
    plain["plateau"] = list(progress.plateau)
    plain["history"] = list(plain["history"])
    return {"about": dataclasses.asdict(about), "progress": plain}


def from_json(saved: Mapping[str, Any]) -> Record:
    """What was saved, also by earlier versions, whose record was one flat table.

    Raises:
        ValueError: if the version that wrote it knew no config.task.
    """
    current = "about" in saved
    about = dict(saved["about"] if current else saved)
    if "task" not in about["config"]:
        raise ValueError(
            "The run was written by an older version of brainseg_jax, which knew no "
            "config.task; train anew, or use the commit in its config.json."
        )
    progress = dict(saved["progress"] if current else saved)
    about["config"] = config = with_later_keys(about["config"])
    config["evaluation"]["metric"] = renamed.score(config["evaluation"]["metric"])
    if not current:
        about["chosen_patients"] = _of_folds(
            about["data"]["folds"], about["config"]["data"]["validation"]
        )
    for name in ("trained_patients", "chosen_patients"):
        about[name] = tuple(about[name])
    progress["history"] = tuple(map(renamed.scores, progress["history"]))
    progress["plateau"] = Plateau(*progress["plateau"])
    return Record(
        About(**_fields(About, about)),
        Progress(**_fields(Progress, progress)),
        saved["step"],
        current,
    )


def with_later_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config in which every key is that later versions know."""
    complete = {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
    }
    for key, value in LATER_KEYS.items():
        *parents, name = key.split(".")
        part = complete
        for parent in parents:
            part = part[parent]
        part.setdefault(name, value)
    return complete


def describe_data(training: Source) -> dict[str, Any]:
    """The data set that a run is trained on, down to the examples."""
    keys = "\n".join(training.keys)
    digest = hashlib.sha256(keys.encode()).hexdigest()
    return {**training.info.to_record(), "training_keys_sha256": digest}


def _of_folds(folds: Mapping[str, int], split: str) -> list[str]:
    """Patients of "fold_0+fold_1"; none of a leaky split."""
    wanted = split.split("+")
    return [name for name, fold in folds.items() if f"fold_{fold}" in wanted]


def _fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names: Sequence[str] = [field.name for field in dataclasses.fields(kind)]
    return {name: values[name] for name in names}
