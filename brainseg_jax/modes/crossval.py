"""Cross-validation: trains a model per fold, and scores every patient by one unseen."""

import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from brainseg_jax.data import info as data_info
from brainseg_jax.data.info import Info
from brainseg_jax.interrupt import StopRequest
from brainseg_jax.modes import evaluate, train
from brainseg_jax.runs import (
    checkpoints,
    ensembles,
    fold_rule,
    members,
    out_of_fold,
    preflight,
    report_folders,
    reported,
    run_folder,
)
from brainseg_jax.runs.fold_rule import Splits


def run(request: Any) -> None:
    """--mode=crossval: by default in runs/<config>[-<argument>]_crossval."""
    info = data_info.described(**request.describe_data())
    cross_validate(
        request.config,
        request.flags.workdir or f"{request.workdir}_crossval",
        count=request.flags.folds,
        info=info,
        prepare=request.prepare_data,
    )


def cross_validate(
    config: ConfigDict,
    workdir: str | pathlib.Path,
    *,
    count: int = 0,
    info: Info | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> dict[str, float] | None:
    """Trains what is left of the first `count` folds (0: all), and pools their scores.

    Each fold is a run of its own in a folder of its name, which `train` goes on with where
    it was stopped and leaves alone once it has finished; config.data.train, validation and
    test go by fold_rule.py, and an empty validation stays empty. Returns the pooled scores;
    None where all was done before.

    Raises:
        ValueError: if a setting cannot work, the data set has no such folds, or the folder
            holds a single run or folds of another config.
        RuntimeError: if another process writes to the folder.
        Interrupted: after a signal, once everything is saved.
    """
    folder = pathlib.Path(workdir)
    _refuse_other_kind(folder)
    fold_rule.refuse_leaky(config.data.train)
    if info is None:
        info = data_info.read_info(config.data.name, config.data.data_dir)
    preflight.check_start(config, folder, info)
    prepare()
    info = data_info.read_info(config.data.name, config.data.data_dir)
    splits = fold_rule.chosen(config, info, count)
    _refuse_other_patients(folder, info)
    with run_folder.locked(folder):
        spent: list[float] = []
        for number, own in enumerate(splits):
            _tell(number, splits, spent)
            start = time.monotonic()
            trained = train.train(fold_rule.with_splits(config, own), folder / own.test)
            if trained is not None:  # now, and not by an earlier command
                spent.append(time.monotonic() - start)
            _add_member(folder, own.test)
        return _pool(folder, config.data.data_dir, anew=bool(spent))


def _refuse_other_kind(folder: pathlib.Path) -> None:
    held = "a single run" if checkpoints.exist(folder) else ""
    if members.read(folder) is not None and not members.are_folds(folder):
        held = "snapshots of one training"
    if held:
        raise ValueError(
            f"{folder} holds {held}, and folds lie in folders of their own. Give "
            "--mode=crossval another --workdir."
        )


def _refuse_other_patients(folder: pathlib.Path, info: Info) -> None:
    """Before hours of training: the folds that have finished are of the same patients."""
    known = members.read(folder)
    for run in known.folders if known else ():
        if not checkpoints.exist(pathlib.Path(run)):
            continue
        if reported.read_about(run).info.folds != info.folds:
            raise ValueError(out_of_fold.OTHER_PATIENTS.format(folder))


def _tell(number: int, splits: Sequence[Splits], spent: Sequence[float]) -> None:
    """Which fold it is, and what is left, in minutes once it is known."""
    left = len(splits) - number
    minutes = ""
    if spent:
        minutes = f", about {left * sum(spent) / len(spent) / 60:.0f} minutes"
    own = splits[number]
    chooses = (
        f"{own.validation} chooses the epoch" if own.validation else "none chooses"
    )
    logging.info(
        "fold %d of %d: tests %s; %s, %s train; %d to go%s",
        number + 1,
        len(splits),
        own.test,
        chooses,
        own.train,
        left,
        minutes,
    )


def _add_member(folder: pathlib.Path, name: str) -> None:
    """Counts a fold among those that have finished, in the order of their names."""
    known = members.read(folder)
    names = {pathlib.Path(one).name for one in known.folders} if known else set()
    if name not in names:
        members.write(folder, members.FOLDS, sorted({*names, name}, key=_number))


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _pool(
    folder: pathlib.Path, data_dir: str, *, anew: bool
) -> dict[str, float] | None:
    """Scores all folds that have finished as one, unless that was done.

    Done `anew` where a fold was trained: curves go on, though its best epoch may stay.
    """
    about = reported.read_about(str(folder))
    name = about.config["data"]["name"]
    report = report_folders.report_folder(folder, about, name, out_of_fold.SPLIT)
    step = report_folders.reported_step(report / "summary.json")
    if not anew and step == ensembles.step_of(folder):
        logging.info(
            "%s: all is trained and scored; the scores are in %s", folder, report
        )
        return None
    with StopRequest() as stop:
        return evaluate.evaluate_folds(folder, data_dir=data_dir, stop=stop)
