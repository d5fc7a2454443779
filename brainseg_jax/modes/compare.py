"""Compares runs over the same patients: tables, curves, bars and pictures side by side."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from absl import logging

from brainseg_jax import files, registry, reports, terminal
from brainseg_jax.metrics import paired
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.reports.parts import (
    comparison_charts,
    comparison_tables,
    patient_scores,
    prediction_grid,
)
from brainseg_jax.reports.parts.patient_scores import Scores
from brainseg_jax.runs import (
    ensembles,
    notes,
    precision,
    report_folders,
    reported,
    scored_splits,
)
from brainseg_jax.runs.reported import Reported


def run(request: Any) -> None:
    """--mode=compare: by what evaluate wrote; only the grid asks the nets again."""
    request.refuse_overrides()
    workdirs = ensembles.folders(request.workdir)
    compare(
        workdirs,
        request.flags.split,
        outputs=request.flags.outputs,
        data_name=request.flags.data_name,
        data_dir=request.flags.data_dir,
    )


def compare(
    workdirs: Sequence[str],
    split: str = "",
    *,
    outputs: str = "",
    data_name: str = "",
    data_dir: str = "",
) -> dict[str, Any]:
    """Writes tables and pictures to `outputs`, by default compare/ in the first run.

    Raises:
        FileNotFoundError: if a run was not scored on the split; says how to.
        ValueError: if the runs cannot be compared; says what differs.
    """
    names = reported.unique_names(workdirs)
    runs = [
        _read(name, workdir, split, data_name, data_dir)
        for name, workdir in zip(names, workdirs, strict=True)
    ]
    reported.check_comparable(runs)
    unlike = reported.unlike_distances(runs)
    if unlike:
        logging.warning("%s.", unlike)
        runs = [reported.without_distances(one) for one in runs]
    folder = pathlib.Path(outputs or pathlib.Path(workdirs[0]) / "compare")
    own = registry.find(reports, runs[0].about.config["task"]["name"])
    scores = {one.name: _scores(own, one) for one in runs}
    common = notes.common({one.name: one.summary["note"] for one in runs})
    note = "; ".join(filter(None, (common, unlike)))
    title = f"{len(runs)} runs on {runs[0].summary['data']} {runs[0].split}"
    found = _write_tables(own, runs, scores, folder, title=title, note=note)
    _draw_charts(own, runs, scores, folder, title=title, note=note)
    _draw_grid(runs, scores, folder, data_name, data_dir, title=title, note=note)
    terminal.show(f"Tables and pictures: {folder}")
    return found


def _read(
    name: str, workdir: str, split: str, data_name: str, data_dir: str
) -> Reported:
    about = reported.read_about(workdir)
    split = split or scored_splits.default_split(about)
    again = reported.command(workdir, split, data_name=data_name, data_dir=data_dir)
    data_name = data_name or about.config["data"]["name"]
    report = report_folders.report_folder(workdir, about, data_name, split)
    return reported.read(name, workdir, about, split, report, again)


def _scores(own: ModuleType, one: Reported) -> Scores:
    info = one.about.info.joined(one.about.config["task"]["foreground"])
    with reported.named(f"The report of {one.name}", f"First run: {one.again}"):
        return own.scores_of_patients(one.tables, info)


def _write_tables(
    own: ModuleType,
    runs: Sequence[Reported],
    scores: Mapping[str, Scores],
    folder: pathlib.Path,
    *,
    title: str,
    note: str,
) -> dict[str, Any]:
    """compare.csv, pairs.csv, patients.csv, comparison.json; prints what to read first."""
    summaries = {
        one.name: {
            name: math.nan if value is None else value
            for name, value in one.summary.items()
        }
        for one in runs
    }
    tables = {
        "compare.csv": comparison_tables.scores_of_runs(summaries),
        "pairs.csv": paired.all_pairs(
            comparison_tables.by_score(scores), patient_scores.lower_is_better
        ),
        "patients.csv": comparison_tables.patients_of_runs(scores),
    }
    headlines = {one.name: _headline(own, one, summaries[one.name]) for one in runs}
    for name, rows in tables.items():
        files.write_csv(folder / name, [{**row, "note": note} for row in rows])
    found = {
        "note": note,
        "data": runs[0].summary["data"],
        "split": runs[0].split,
        "patients": len(runs[0].patients),
        "runs": {one.name: _about(one) for one in runs},
        "scores": tables["compare.csv"],
        "pairs": tables["pairs.csv"],
        "p_values": comparison_tables.CORRECTED,
    }
    files.write_json(folder / "comparison.json", found)
    heading = "\n".join(filter(None, (title, note)))
    terminal.show(comparison_tables.headline_table(headlines, heading))
    terminal.show(comparison_tables.pairs_table(tables["pairs.csv"]))
    return found


def _headline(
    own: ModuleType, one: Reported, summary: Mapping[str, Any]
) -> dict[str, str]:
    """Raises ValueError for a report of an older version, which lacks what is shown now."""
    try:
        return own.headline(summary, summary)[0]
    except KeyError as error:
        raise ValueError(
            f"The report of {one.workdir} on {one.split} lacks {error}: an older version "
            f"wrote it. First run: {reported.command(one.workdir, one.split)}"
        ) from error


def _about(one: Reported) -> dict[str, Any]:
    return {
        "workdir": one.workdir,
        "model": one.about.config["model"]["name"],
        "parameters": one.about.parameters,
        "checkpoint_step": one.summary["checkpoint_step"],
        "note": one.summary["note"],
    }


def _draw_charts(
    own: ModuleType,
    runs: Sequence[Reported],
    scores: Mapping[str, Scores],
    folder: pathlib.Path,
    *,
    title: str,
    note: str,
) -> None:
    losses = [
        (one.about.config["losses"], one.about.config["label_losses"]) for one in runs
    ]
    unlike = "" if losses.count(losses[0]) == len(losses) else " (of unlike losses)"
    columns = {
        "train_loss": f"Training loss{unlike}",
        "validation_loss": f"Validation loss{unlike}",
    }
    for name, label in own.CURVES.items():
        words = label.replace("\n", " ")
        columns[f"validation_{name}"] = f"Validation: {words}"
    histories = {one.name: one.history for one in runs}
    if any(histories.values()):
        comparison_charts.curves(
            histories, folder / "curves.png", columns=columns, title=title, note=note
        )
    by_score = comparison_tables.by_score(scores)
    drawn = {
        name: own for name, own in by_score.items() if patient_scores.is_drawn(name)
    }
    if drawn:
        comparison_charts.bars(drawn, folder / "bars.png", title=title, note=note)


def _draw_grid(
    runs: Sequence[Reported],
    scores: Mapping[str, Scores],
    folder: pathlib.Path,
    data_name: str,
    data_dir: str,
    *,
    title: str,
    note: str,
) -> None:
    """grid.png of masks, where checkpoints and prepared data are still there."""
    rows = [row for own in runs[0].tables.values() for row in own if "class" in row]
    by_slice = [row for row in rows if "key" in row]
    if not by_slice:
        return
    first_score = comparison_tables.shared(scores)[0]
    try:
        opened = {one.name: _open(one, data_name, data_dir) for one in runs}
    except FileNotFoundError as error:
        logging.warning("No grid.png: %s", error)
        return
    prediction_grid.draw(
        opened,
        {name: own[first_score] for name, own in scores.items()},
        prediction_grid.largest_slices(by_slice),
        folder / "grid.png",
        title=f"{title}: {first_score} of each patient",
        note=note,
    )


def _open(one: Reported, data_name: str, data_dir: str) -> tuple[Any, Any]:
    """The split as the run sees it, and the masks that it predicts there."""
    source, predict = scored_splits.open_answers(
        one.workdir, one.split, data_name=data_name, data_dir=data_dir
    )

    def masks(index: int) -> Any:
        precision.set_precision(one.about.config)
        labels = predict(index)
        return labels.mask if isinstance(labels, Heads) else labels

    return source, masks
