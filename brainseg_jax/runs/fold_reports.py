"""What the report of a cross-validation has besides: scores, points and curves by fold."""

import pathlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from absl import logging

from brainseg_jax import files
from brainseg_jax.reports.parts import (
    comparison_charts,
    fold_chart,
    patient_scores,
    patient_spread,
)
from brainseg_jax.reports.parts.patient_scores import Scores
from brainseg_jax.runs import out_of_fold
from brainseg_jax.runs.out_of_fold import Fold

Row = dict[str, Any]
PATIENTS = "patients.csv"
HEADS = ("mask ", "label ")  # what names of scores begin with of nets with two


def write(
    folds: Sequence[Fold],
    own: ModuleType,
    tables: Mapping[str, list[Row]],
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
) -> None:
    """folds.csv beside each patients.csv, folds.png and training.png.

    `own` is the task's module of reports, `tables` are as it made them.
    """
    of_patients = out_of_fold.fold_of_patients(folds)
    for name, rows in by_fold(tables, of_patients).items():
        files.write_csv(folder / name, [{**row, "note": note} for row in rows])
    scores = first_scores(own.scores_of_patients(tables, folds[0].source.info))
    if scores:
        fold_chart.fold_chart(
            scores, of_patients, folder / "folds.png", title=title, note=note
        )
    _draw_training(folds, own, folder, note=note, title=title)


def with_folds(
    tables: Mapping[str, list[Row]], folds: Sequence[Fold]
) -> dict[str, list[Row]]:
    """The same tables, which say of each patient in which fold it was tested, if any."""
    known = out_of_fold.fold_of_patients(folds)
    return {
        name: [
            {"fold": known[row["patient"]], **row}
            if row.get("patient") in known
            else row
            for row in rows
        ]
        for name, rows in tables.items()
    }


def by_fold(
    tables: Mapping[str, list[Row]], folds: Mapping[str, str]
) -> dict[str, list[Row]]:
    """How the scores of all patients, and of each fold's, spread."""
    return {
        name.replace(PATIENTS, "folds.csv"): [
            _named(row) for row in patient_spread.rows_of(rows, folds)
        ]
        for name, rows in tables.items()
        if name.endswith(PATIENTS)
    }


def _named(row: Row) -> Row:
    """A row of a group of patients, which are those of a fold."""
    others = {name: value for name, value in row.items() if name != "institution"}
    return {"fold": row["institution"], **others}


def first_scores(scores: Scores) -> Scores:
    """The first of all that patients have; of two heads of each."""
    known = patient_scores.defined(scores)
    firsts: dict[str, str] = {}
    for name in known:
        head = next((one for one in HEADS if name.startswith(one)), "")
        firsts.setdefault(head, name)
    return {name: scores[name] for name in firsts.values()}


def _draw_training(
    folds: Sequence[Fold],
    own: ModuleType,
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
) -> None:
    """A curve of each fold's training in one picture."""
    histories = {fold.split: fold.restored.record.progress.history for fold in folds}
    columns = {"train_loss": "Training loss", "validation_loss": "Validation loss"}
    for name, label in own.CURVES.items():
        words = label.replace("\n", " ")
        columns[f"validation_{name}"] = f"Validation: {words}"
    if not any(histories.values()):
        logging.info("No epoch is finished yet: there are no training curves to draw.")
        return
    comparison_charts.curves(
        histories, folder / "training.png", columns=columns, title=title, note=note
    )
