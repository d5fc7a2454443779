"""What a checkpoint says beside its weights: what stays the same, and what moves."""

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
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
    validation_patients: tuple[str, ...]  # by whom the best epoch may be chosen
    parameters: int
    batch_statistics: int
    environment: Mapping[str, Any]
    earlier_choosers: tuple[str, ...] = ()  # of the epoch of the run it began from

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


class Choice(NamedTuple):
    """How the epoch of a model's weights was taken."""

    how: str  # in words
    patients: tuple[str, ...]  # by whose scores it was chosen; none where it was not


class Record(NamedTuple):
    """Everything that a checkpoint says beside its weights."""

    about: About
    progress: Progress
    step: int
    current: bool = True  # False: written before averages had statistics of their own
    choice: Choice = Choice("", ())  # as far as the training has come


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
    if "validation_patients" not in about:
        _add_validation_patients(about)
    progress = dict(saved["progress"] if current else saved)
    about["config"] = config = with_later_keys(about["config"])
    config["evaluation"]["metric"] = renamed.score(config["evaluation"]["metric"])
    for name in ("trained_patients", "validation_patients", "earlier_choosers"):
        about[name] = tuple(about[name])
    progress["history"] = tuple(map(renamed.scores, progress["history"]))
    progress["plateau"] = Plateau(*progress["plateau"])
    return Record(
        About(**_fields(About, about)),
        Progress(**_fields(Progress, progress)),
        saved["step"],
        current,
    )


def choose(about: About, progress: Progress, *, best: bool) -> Choice:
    """How the epoch of a checkpoint was taken, by the history of the whole training.

    Only where several epochs were evaluated, and it is the `best` of them, was it chosen.
    Patients who chose the epoch of the run that this one began from chose in any case.
    """
    evaluated = evaluations(progress.history)
    if best and evaluated > 1:
        metric = about.config["evaluation"]["metric"].replace("_", " ")
        said = (
            f"the best of {evaluated} evaluated epochs, by {metric} of the validation"
        )
        patients = {*about.validation_patients, *about.earlier_choosers}
        return Choice(f"{said} split", tuple(sorted(patients)))
    cycle = about.config["schedule"]["cycle_epochs"]
    if best:
        how = "the only one that was evaluated"
    elif progress.epoch and cycle and progress.epoch % cycle == 0:
        how = f"the end of cycle {progress.epoch // cycle} of the schedule"
    else:
        how = "the last one"
    return Choice(f"{how}: it was not chosen", about.earlier_choosers)


def evaluations(history: Iterable[Mapping[str, Any]]) -> int:
    """After how many epochs the validation split was scored."""
    return sum("validation_loss" in row for row in history)


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


def _add_validation_patients(about: Row) -> None:
    """Of earlier versions, which had one list of all who may have chosen an epoch.

    The first knew no such list either.
    """
    data = about["config"]["data"]
    known = about.get("chosen_patients")
    if known is None:
        known = _of_folds(about["data"]["folds"], data["validation"])
    about["validation_patients"] = known
    about["earlier_choosers"] = known if about["config"]["init_from"] else ()


def _of_folds(folds: Mapping[str, int], split: str) -> list[str]:
    """Patients of "fold_0+fold_1"; none of a leaky split."""
    wanted = split.split("+")
    return [name for name, fold in folds.items() if f"fold_{fold}" in wanted]


def _fields(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    names: Sequence[str] = [field.name for field in dataclasses.fields(kind)]
    return {name: values[name] for name in names}
