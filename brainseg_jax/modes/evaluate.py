"""Scores a model on a split: per slice, per patient, in tables and pictures."""

import functools
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import logging
from rich.table import Table

from brainseg_jax import files, registry, reports, tasks, terminal
from brainseg_jax.data import info as data_info
from brainseg_jax.data import institutions, leakage, sources
from brainseg_jax.inference import scoring
from brainseg_jax.interrupt import StopRequest
from brainseg_jax.reports.parts import figures, patient_spread
from brainseg_jax.runs import (
    cards,
    ensembles,
    experiment,
    fold_reports,
    fold_rule,
    members,
    mended_scores,
    out_of_fold,
    precision,
    report_pages,
    restore,
    scorable,
    split_scores,
    summaries,
)
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.out_of_fold import Fold
from brainseg_jax.runs.predictor import make_labeller
from brainseg_jax.runs.records import About
from brainseg_jax.runs.report_pages import Origin, Scores, Told
from brainseg_jax.runs.restore import Restored

Row = dict[str, Any]
KEPT = 8  # predicted examples, of which pictures are drawn


class Answers(NamedTuple):
    """What was scored and is predicted of a split, and by which checkpoints."""

    scored: scoring.Scored
    predict: Callable[[int], Any]  # labels of an example
    step: cards.Step
    folds: Sequence[Fold] = ()  # where each patient's model is another


def run(request: Any) -> None:
    """--mode=evaluate: by the checkpoint's own config; --config only names the workdir."""
    request.refuse_overrides()
    evaluate(
        request.workdir,
        request.flags.split,
        data_name=request.flags.data_name,
        data_dir=request.flags.data_dir,
        allow_contaminated=request.flags.allow_contaminated,
    )


def evaluate(
    workdir: str | pathlib.Path,
    split: str = "",
    *,
    data_name: str = "",
    data_dir: str = "",
    allow_contaminated: bool = False,
    stop: StopRequest | None = None,
) -> dict[str, float]:
    """Scores the best checkpoint of `workdir`; empty arguments mean its own config's.

    Of several, as a,b, the mean of their probabilities is scored; the first has the report.
    Where a run has no test split, its validation split is scored, and the note says so.
    Of a cross-validation every fold is scored by its own model, unless a split is named.

    Raises:
        FileNotFoundError: if there is no checkpoint, or the data set is not prepared.
        ValueError: if the data set has other channels or classes, or if patients were
            trained on and that is not allowed.
        Interrupted: if `stop` asked to.
    """
    by_fold = members.are_folds(workdir) and not data_name
    if by_fold and split in ("", out_of_fold.SPLIT):
        return evaluate_folds(workdir, data_dir=data_dir, stop=stop)
    restored = ensembles.restore_all(workdir)
    about, task = restored.record.about, restored.parts.task
    precision.set_precision(about.config)
    split = split or default_split(about)
    data_dir = data_dir or about.config["data"]["data_dir"]
    source = open_source(restored, split, data_name=data_name, data_dir=data_dir)
    named_by = registry.find(tasks, task.name).NAMED_BY
    scorable.check_kind(source.info, about.info, named_by)
    scorable.check_spacing(source.info, about.info)
    if not allow_contaminated:
        scorable.refuse_trained(source, about, split, _remedy(workdir))
    step = ensembles.card_place(workdir, restored).step
    return report(
        restored,
        source,
        answer(restored, source, step=step, stop=stop),
        report_folder(workdir, about, source.info.name, split),
        note=note_of(workdir, about, source, split),
        title=f"{about.config['model']['name']} on {source.info.name} {split}",
        split=split,
        origin=report_pages.origin_of(workdir, [(restored, source)], data_dir),
        card=ensembles.card_of(workdir, restored),
        places=institutions.read(source.info.name, data_dir, {*source.patients}),
    )


def _remedy(workdir: str | pathlib.Path) -> str:
    """What to do instead of scoring a model on patients that it was trained on."""
    if members.are_folds(workdir):
        return "Without --split each patient is scored by the fold that has not seen it"
    return "Choose another --split"


def answer(
    restored: Restored,
    source: sources.Source,
    *,
    step: cards.Step,
    stop: StopRequest | None = None,
) -> Answers:
    """Scores a split; raises Interrupted if `stop` asked to."""
    scored = _score(restored, source, stop)
    return Answers(scored, predict_labels(restored, source), step)


def _score(
    restored: Restored, source: sources.Source, stop: StopRequest | None
) -> scoring.Scored:
    """Everything that a report has."""
    return split_scores.score(
        restored,
        source,
        look=split_scores.look_of(restored, source),
        pixels=split_scores.counted_pixels(restored),
        stop=stop,
    )


def evaluate_folds(
    workdir: str | pathlib.Path, *, data_dir: str = "", stop: StopRequest | None = None
) -> dict[str, float]:
    """Scores every fold of a cross-validation by the model that has not seen it, as one.

    Raises:
        FileNotFoundError: if a checkpoint is gone, or the data set is not prepared.
        ValueError: if a fold's patients were trained on.
        Interrupted: if `stop` asked to.
    """
    folds, whole = open_folds(workdir, data_dir=data_dir)
    about = out_of_fold.joined([fold.restored.record.about for fold in folds])
    data_dir = data_dir or about.config["data"]["data_dir"]
    precision.set_precision(about.config)
    for fold in folds:
        scorable.refuse_trained(fold.source, fold.restored.record.about, fold.split)
    scored = [_score(fold.restored, fold.source, stop) for fold in folds]
    name, first = whole.info.name, folds[0].restored
    return report(
        first._replace(record=first.record._replace(about=about)),
        whole,
        Answers(
            out_of_fold.pool(scored, [fold.source for fold in folds], whole),
            out_of_fold.make_labeller(folds, whole),
            ensembles.step_of(workdir),
            folds,
        ),
        report_folder(workdir, about, name, out_of_fold.SPLIT),
        note=_note_of_folds(folds),
        title=f"{about.config['model']['name']} on {name}, out of fold: "
        f"{len(folds)} of {len(fold_rule.folds_of(whole.info, folds[0].split))} folds",
        split=out_of_fold.SPLIT,
        origin=report_pages.origin_of(workdir, [fold[1:] for fold in folds], data_dir),
        places=institutions.read(name, data_dir, {*whole.patients}),
    )


def _note_of_folds(folds: Sequence[Fold]) -> str:
    """What has to be said of any fold's scores."""
    notes = [
        part
        for fold in folds
        for part in make_note(
            fold.restored.record.about, fold.source, fold.split
        ).split("; ")
    ]
    notes.append(out_of_fold.unlike_lengths(folds))
    return "; ".join(filter(None, dict.fromkeys(notes)))


def open_folds(
    workdir: str | pathlib.Path, *, data_dir: str = ""
) -> tuple[list[Fold], sources.Source]:
    """The models of a cross-validation with their test folds, and these as one split."""
    folds = []
    for folder in members.folders(workdir):
        restored = restore.restore(folder)
        split = restored.record.about.config["data"]["test"]
        source = open_source(restored, split, data_dir=data_dir)
        folds.append(Fold(split, restored, source))
    every = "+".join(fold.split for fold in folds)
    return folds, open_source(folds[0].restored, every, data_dir=data_dir)


def open_answers(
    workdir: str, split: str, *, data_name: str = "", data_dir: str = ""
) -> tuple[sources.Source, Callable[[int], Any]]:
    """A split as it is scored, and the labels that are predicted of its examples."""
    if split == out_of_fold.SPLIT:
        folds, whole = open_folds(workdir, data_dir=data_dir)
        return whole, out_of_fold.make_labeller(folds, whole)
    restored = ensembles.restore_all(workdir)
    source = open_source(restored, split, data_name=data_name, data_dir=data_dir)
    return source, predict_labels(restored, source)


def open_source(
    restored: Restored, split: str, *, data_name: str = "", data_dir: str = ""
) -> sources.Source:
    """A split as it is scored, of the run's own data set unless another is named.

    Raises:
        FileNotFoundError: if the data set is not prepared.
        ValueError: if it has other channels, or the split cannot be scored so.
    """
    about, task = restored.record.about, restored.parts.task
    options = about.settings.data
    name, data_dir = data_name or options.name, data_dir or options.data_dir
    source = sources.open_split(
        name,
        split,
        data_dir,
        channels=scorable.channels(data_info.read_info(name, data_dir), about.info),
        size=experiment.scored_size(about.settings),
        reach=options.neighbours,
        normalisation=options.normalisation.to_dict(),
        foreground=about.settings.task.foreground,
        stored_masks=True,
        with_masks=task.uses_masks,
        only_tumour=options.only_tumour,
    )
    scorable.check_kind(source.info, about.info, ("channels",))
    return source


def default_split(about: About) -> str:
    """The test split of a run; where there is none, the one that chose its epoch."""
    return about.config["data"]["test"] or about.config["data"]["validation"]


def make_note(about: About, source: sources.Source, split: str) -> str:
    """What has to be said wherever these scores are shown."""
    options = about.config["data"]
    notes = [source.info.note(options["train"], split)]
    if trained := leakage.known(source.patients, about.trained_patients):
        notes.append(f"CONTAMINATED: {len(trained)} patients were trained on")
    if chosen := leakage.known(source.patients, about.chosen_patients):
        notes.append(
            f"VALIDATION: the epoch was chosen by {len(chosen)} patients of it"
        )
    if options["only_tumour"]:
        notes.append("only slices with tumour")
    return "; ".join(filter(None, notes))


def note_of(
    workdir: str | pathlib.Path, about: About, source: sources.Source, split: str
) -> str:
    """The same, and whether several runs are scored as one."""
    said = ensembles.said(workdir), make_note(about, source, split)
    return "; ".join(filter(None, said))


def report_folder(
    workdir: str | pathlib.Path, about: About, data_name: str, split: str
) -> pathlib.Path:
    """Where a split's report lies; another data set's has its name before it."""
    own = data_name == about.config["data"]["name"]
    first, *others = ensembles.folders(workdir)
    count = len(ensembles.runs_of(workdir))
    joined = [f"ensemble_of_{count}"] if others else []
    parts = joined if own else [*joined, data_name.replace("/", "_")]
    name = "_".join([*parts, split.replace("+", "_")])
    return pathlib.Path(first) / "evaluation" / name


def is_reported(workdir: str | pathlib.Path) -> bool:
    """Whether a run's own split was scored with its best checkpoint."""
    record = restore.read_best(workdir)
    about = record.about
    name, split = about.config["data"]["name"], default_split(about)
    path = report_folder(workdir, about, name, split) / summaries.FILE
    return reported_step(path) == record.step


def reported_step(path: pathlib.Path) -> cards.Step | None:
    """Of the checkpoint that a summary is of; None where there is none, or damaged."""
    try:
        return json.loads(path.read_text())["checkpoint_step"]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def report(
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


def predict_labels(restored: Restored, source: sources.Source) -> Callable[[int], Any]:
    """Predicted labels [*space, 1] of one example of a split; of two heads of each.

    The last few are kept: several pictures show the same example.
    """
    label = make_labeller(restored)

    @functools.lru_cache(maxsize=KEPT)
    def labels(index: int) -> Any:
        return label(source.seen(index)[0], source.scaling[index])

    return labels


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
        best_epoch=progress.best_epoch,
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
