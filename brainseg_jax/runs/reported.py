"""What runs left on disk of a split that they were scored on, and whether it compares."""

import contextlib
import csv
import json
import pathlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from brainseg_jax.data import damage
from brainseg_jax.metrics import mask_shapes
from brainseg_jax.runs import (
    cards,
    ensembles,
    members,
    out_of_fold,
    records,
    renamed,
    restore,
    summaries,
)
from brainseg_jax.runs.records import About

Row = dict[str, Any]
PATIENTS = "patients.csv"


class Reported(NamedTuple):
    """A run and its report of one split."""

    name: str
    workdir: str
    about: About
    split: str
    summary: Row
    tables: dict[str, list[Row]]  # by file, from the report's folder on
    history: list[dict[str, float]]
    again: str  # the command that makes the report

    @property
    def patients(self) -> dict[str, str]:
        """Of how many slices each patient was scored."""
        rows = next(own for name, own in self.tables.items() if name.endswith(PATIENTS))
        return {row["patient"]: row["slices"] for row in rows}


def unique_names(workdirs: Sequence[str]) -> list[str]:
    """The names of folders, with as many folders above them as tell them apart.

    Raises:
        ValueError: if there are fewer than two, or a folder is named twice.
    """
    paths = [pathlib.Path(one).resolve() for one in workdirs]
    if len(paths) < 2:
        raise ValueError(
            "--mode=compare needs two runs or more: --workdir=runs/a,runs/b."
        )
    if twice := [str(path) for path in paths if paths.count(path) > 1]:
        raise ValueError(f"--workdir names {twice[0]} twice; a run compares to others.")
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def read_about(workdir: str) -> About:
    """What config.json says of a run, or of those of a cross-validation together.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, or too old.
    """
    abouts = [_read_about(folder) for folder in members.folders(workdir)]
    return out_of_fold.joined(abouts) if members.are_folds(workdir) else abouts[0]


def _read_about(workdir: str) -> About:
    path = pathlib.Path(workdir) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; give the --workdir of runs that were trained."
        )
    try:
        said = json.loads(path.read_text())
        # A step is of no interest here, but every record has one.
        return records.from_json(
            {"about": said, "progress": vars(records.Progress()), "step": 0}
        ).about
    except (LookupError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is damaged ({error!r}); train the run anew."
        ) from error


def read(
    name: str,
    workdir: str,
    about: About,
    split: str,
    report: pathlib.Path,
    again: str = "",
) -> Reported:
    """A run with the report of a split in the folder `report`.

    `again` is the command that makes it, by default of the run's own data set.

    Raises:
        FileNotFoundError: naming the command that makes what is missing.
        ValueError: if the report is damaged, of another checkpoint than the best, or of a
            newer version.
    """
    summary, again = report / "summary.json", again or command(workdir, split)
    tables = {
        str(path.relative_to(report)): _table(path, f"First run: {again}")
        for path in sorted(report.rglob("*.csv"))
    }
    if not summary.is_file() or not any(one.endswith(PATIENTS) for one in tables):
        raise FileNotFoundError(
            f"{workdir} was not scored on {split} ({report} has no complete report). "
            f"First run: {again}"
        )
    with named(summary, f"First run: {again}"):
        found = renamed.scores(json.loads(summary.read_text()))
        step = found["checkpoint_step"]
    summaries.refuse_newer(found, summary, again)
    _refuse_stale(workdir, step, again)
    history = _history(pathlib.Path(workdir))
    return Reported(name, workdir, about, split, found, tables, history, again)


@contextlib.contextmanager
def named(path: str | pathlib.Path, remedy: str) -> Iterator[None]:
    """What reading a damaged file raises becomes a ValueError that names it."""
    try:
        yield
    except (*damage.DAMAGE, csv.Error) as error:
        raise ValueError(f"{path} is damaged ({error!r}). {remedy}") from error


def command(
    workdir: str, split: str, *, data_name: str = "", data_dir: str = ""
) -> str:
    """What makes the report of a run; of another data set than its own if one is named."""
    flags = {
        "split": "" if split == out_of_fold.SPLIT else split,
        "data_name": data_name,
        "data_dir": data_dir,
    }
    said = (f" --{name}={shlex.quote(value)}" for name, value in flags.items() if value)
    return f"python main.py --mode=evaluate --workdir={shlex.quote(workdir)}{''.join(said)}"


def check_comparable(runs: Sequence[Reported]) -> None:
    """Refuses runs that were not scored on the same patients in the same way.

    Raises:
        ValueError: saying what differs, and between which two.
    """
    first, *others = runs
    for other in others:
        theirs = _meaning(other)
        for what, ours in _meaning(first).items():
            if ours != theirs[what]:
                raise ValueError(
                    f"{first.name} and {other.name} cannot be compared: {what} is {ours} "
                    f"in the one and {theirs[what]} in the other."
                )
        _check_patients(first, other)


def unlike_distances(runs: Sequence[Reported]) -> str:
    """Why surface distances of these runs cannot be compared; "" where they can.

    Also where none has any.
    """
    first, *others = runs
    for other in others:
        ours, theirs = (_how_measured(one) for one in (first, other))
        if bool(ours) != bool(theirs):
            lacking = other if ours else first
            return f"surface distances are not compared: {lacking.name} has none"
        for what, value in ours.items():
            if value != theirs[what]:
                return (
                    f"surface distances are not compared: {what} is {value} in "
                    f"{first.name} and {theirs[what]} in {other.name}"
                )
    return ""


def without_distances(run: Reported) -> Reported:
    """A run whose tables have no surface distances."""
    tables = {
        name: [
            {key: row[key] for key in row if key not in mask_shapes.DISTANCES}
            for row in rows
        ]
        for name, rows in run.tables.items()
    }
    return run._replace(tables=tables)


def _how_measured(run: Reported) -> dict[str, str]:
    """What distances of patients are; {} where there are none."""
    dimensions = run.summary["dimensions"]
    usual = mask_shapes.MEANS[dimensions]  # of tables that do not say it yet
    for name, rows in run.tables.items():
        if name.endswith(PATIENTS) and "hd95" in rows[0]:
            row = {mask_shapes.OF_PATIENT: usual, **rows[0]}
            return {
                what: row[what]
                for what in ("convention", "tolerance", "unit", mask_shapes.OF_PATIENT)
            }
    return {}


def _meaning(run: Reported) -> dict[str, Any]:
    """What has to be the same for two runs' scores to mean the same."""
    config, summary = run.about.config, run.summary
    tables = (own for name, own in run.tables.items() if name.endswith(PATIENTS))
    rows = [row for own in tables for row in own if "class" in row]
    return {
        "config.task.name": config["task"]["name"],
        "the data set": summary["data"],
        "the split (--split names one for all)": run.split,
        "config.data.only_tumour": config["data"]["only_tumour"],
        "the score of two empty masks": summary.get("empty_masks", "none"),
        "classes of masks": list(dict.fromkeys(row["class"] for row in rows)),
        "classes": run.about.data["labels"],
    }


def _check_patients(first: Reported, other: Reported) -> None:
    ours, theirs = first.patients, other.patients
    lone = sorted({*ours} ^ {*theirs})
    unlike = sorted(one for one in {*ours} & {*theirs} if ours[one] != theirs[one])
    if lone:
        raise ValueError(
            f"{first.name} and {other.name} cannot be compared: {len(lone)} patients were "
            f"scored by one of them alone ({', '.join(lone[:3])}). Score both on the same "
            "--split of the same prepared data."
        )
    if unlike:
        raise ValueError(
            f"{first.name} and {other.name} cannot be compared: {len(unlike)} patients "
            f"have more slices in one of them ({', '.join(unlike[:3])}). Score both on the "
            "same prepared data."
        )


def _refuse_stale(workdir: str, step: cards.Step, again: str) -> None:
    """A run may lie here without its checkpoints, which are large."""
    try:
        best = ensembles.step_of(workdir)
    except restore.NoCheckpoint:
        return
    if best != step:
        raise ValueError(
            f"{workdir} was scored with its checkpoint of step {step}, and the best is now "
            f"of step {best}. First run: {again}"
        )


def _history(workdir: pathlib.Path) -> list[dict[str, float]]:
    """A row per epoch, with the numbers that it has."""
    path = workdir / "history.csv"
    if not path.is_file():
        return []
    with named(path, "Delete it, and no curves are drawn of this run."):
        return [
            {
                renamed.score(key): float(cell)
                for key, cell in row.items()
                if cell and key != "note"
            }
            for row in _rows(path)
        ]


def _table(path: pathlib.Path, remedy: str) -> list[Row]:
    """Of a report; that of patients has at least one."""
    with named(path, remedy):
        rows = [renamed.columns(row) for row in _rows(path)]
        if path.name == PATIENTS and not (rows and {"patient", "slices"} <= {*rows[0]}):
            raise ValueError("no patients are in it")
    return rows


def _rows(path: pathlib.Path) -> list[Row]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
