"""Writes the report of a split: tables, pictures and pages, and prints its summary."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging
from rich.table import Table

from brainseg_jax import files, registry, reports, terminal
from brainseg_jax.data import sources
from brainseg_jax.inference import scoring
from brainseg_jax.reports.parts import figures, patient_spread
from brainseg_jax.runs import (
    cards,
    fold_reports,
    mended_scores,
    report_pages,
    summaries,
)
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.out_of_fold import Fold
from brainseg_jax.runs.report_pages import Origin, Scores, Told
from brainseg_jax.runs.restore import Restored

Row = dict[str, Any]


class Answers(NamedTuple):
    """What was scored and is predicted of a split, and by which checkpoints."""

    scored: scoring.Scored
    predict: Callable[[int], Any]  # labels of an example
    step: cards.Step
    folds: Sequence[Fold] = ()  # where each patient's model is another


def write(
    restored: Restored,
    source: sources.Source,
    answers: Answers,
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
    split: str,
    origin: Origin,
    card: Card | None = None,
    places: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Writes tables, pictures and pages of what was scored, prints the summary.

    By what a `card` says it is scored once more, beside the scores without. `places` are
    patients' institutions, where they are told; `origin` is what the pages tell of.

    Raises:
        ValueError: if a stored image is damaged, or a volume would have to be resized.
        OSError: if `folder` cannot be written.
    """
    task, scored = restored.parts.task, answers.scored
    options = restored.record.about.settings.evaluation
    own = registry.find(reports, task.name)
    summary = own.summarise(scored, source, task, options.empty)
    tables = own.tables(scored, source, task, options.empty)
    tables |= own.failures(tables, source, task)
    spread = _spread(tables, places or {})
    _remove_earlier(folder, task.name)
    tables = fold_reports.with_folds(tables, answers.folds)
    for name, rows in {**tables, **spread}.items():
        files.write_csv(folder / name, [{**row, "note": note} for row in rows])
    _draw(restored, source, answers, tables, folder, note=note, title=title)
    said = {
        **_of_split(source, split, note),
        "checkpoint_step": answers.step,
        **own.policies(options.to_dict()),
        **_measured(scored),
    }
    rows, caption = own.headline(summary, said)
    if card:
        found, more = mended_scores.by_card(
            restored, source, scored, card, folder, note
        )
        said, rows = said | found, rows | more
    over = [patient_spread.in_words(each, said, note) for each in spread.values()]
    told = Told(title, said, summary, Scores(rows, caption, over), tables)
    said |= report_pages.write(folder, told, restored, source, origin, places or {})
    # Last: with it the report is complete.
    summaries.write(folder, {**said, **summary}, spread)
    print_summary(rows, caption, title=title, note=note)
    _print_over_patients(over, folder)
    return summary


def _remove_earlier(folder: pathlib.Path, task: str) -> None:
    """What another evaluation left, and this one may not write: it is shown as its own.

    The summary, by which a report counts as complete, goes first.
    """
    figures = (*report_pages.figures(task), *report_pages.of_failures())
    for name in (summaries.FILE, *mended_scores.TABLES.values(), *figures):
        (folder / name).unlink(missing_ok=True)


def _print_over_patients(tables: Sequence[Table], folder: pathlib.Path) -> None:
    for table in tables:
        terminal.show(table)
    terminal.show(f"Report, tables and pictures: {folder}")


def _of_split(source: sources.Source, split: str, note: str) -> Row:
    """What was scored."""
    return {
        "note": note,
        "data": f"{source.info.name} {source.info.version}",
        "split": split,
        "patients": len(set(source.patients)),
        "slices": len(source),
        "dimensions": source.info.dimensions,
    }


def _measured(scored: scoring.Scored) -> Row:
    """How distances and calibration were taken, where they were."""
    found: Row = {}
    if scored.pixels:
        found["calibration_of_pixels"] = scored.pixels.policy
    if scored.shapes:
        measured = scored.shapes.measured._asdict()
        del measured["empty"]
        found["surface_distances"] = measured
    return found


def _spread(
    tables: Mapping[str, list[Row]], places: Mapping[str, str]
) -> dict[str, list[Row]]:
    """A scores.csv beside each patients.csv."""
    return {
        name.replace("patients.csv", "scores.csv"): patient_spread.rows_of(rows, places)
        for name, rows in tables.items()
        if name.endswith("patients.csv")
    }


def _draw(
    restored: Restored,
    source: sources.Source,
    answers: Answers,
    tables: dict[str, list[Row]],
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
) -> None:
    """Every picture of a report; of folds their table, too."""
    task = restored.parts.task
    own = registry.find(reports, task.name)
    if answers.folds:
        fold_reports.write(answers.folds, own, tables, folder, note=note, title=title)
    else:
        _draw_training(restored, folder, note=note, title=title)
    own.draw(
        task,
        source,
        answers.scored,
        tables,
        folder,
        predict=answers.predict,
        note=note,
        title=title,
    )


def _draw_training(
    restored: Restored, folder: pathlib.Path, *, note: str, title: str
) -> None:
    """The curves of training, which every task has, as far as it has come."""
    progress = restored.record.progress
    if not progress.history:
        logging.info("No epoch is finished yet: there are no training curves to draw.")
        return
    curves = registry.find(reports, restored.parts.task.name).CURVES
    figures.training_curves(
        progress.history,
        folder / "training.png",
        scores={f"validation_{name}": label for name, label in curves.items()},
        kept_epoch=progress.epoch,
        title=title,
        note=note,
    )


def print_summary(rows: dict[str, str], caption: str, *, title: str, note: str) -> None:
    """The scores a reader asks for first, under whatever has to be said of the data."""
    table = Table(title="\n".join(filter(None, (title, note))), caption=caption)
    for column in ("score", "value"):
        table.add_column(column, justify="right" if column == "value" else "left")
    for name, value in rows.items():
        table.add_row(name, value)
    terminal.show(table)
