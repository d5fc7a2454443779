"""Scores a model on a split: per slice, per patient, in tables and pictures."""

import pathlib
from typing import Any

from brainseg_jax import registry, tasks
from brainseg_jax.data import institutions, sources
from brainseg_jax.inference import scoring
from brainseg_jax.interrupt import StopRequest
from brainseg_jax.runs import (
    ensembles,
    fold_rule,
    members,
    notes,
    out_of_fold,
    precision,
    report_folders,
    report_pages,
    report_writing,
    scorable,
    scored_splits,
    split_scores,
)
from brainseg_jax.runs.report_writing import Answers
from brainseg_jax.runs.restore import Restored


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
    if scored_splits.is_by_fold(workdir, split, data_name):
        return evaluate_folds(workdir, data_dir=data_dir, stop=stop)
    restored = ensembles.restore_all(workdir)
    about, task = restored.record.about, restored.parts.task
    precision.set_precision(about.config)
    split = split or scored_splits.default_split(about)
    data_dir = data_dir or about.config["data"]["data_dir"]
    source = scored_splits.open_source(
        restored, split, data_name=data_name, data_dir=data_dir
    )
    named_by = registry.find(tasks, task.name).NAMED_BY
    scorable.check_kind(source.info, about.info, named_by)
    scorable.check_spacing(source.info, about.info)
    if not allow_contaminated:
        scorable.refuse_trained(source, about, split, _remedy(workdir))
    card = ensembles.card_of(workdir, restored)
    answers = Answers(
        _score(restored, source, stop),
        scored_splits.predict_labels(restored, source),
        ensembles.card_place(workdir, restored).step,
    )
    return report_writing.write(
        restored,
        source,
        answers,
        report_folders.report_folder(workdir, about, source.info.name, split),
        note=notes.of_runs(workdir, restored.record, source, split, card),
        title=f"{about.config['model']['name']} on {source.info.name} {split}",
        split=split,
        origin=report_pages.origin_of(workdir, [(restored, source)], data_dir),
        card=card,
        places=institutions.read(source.info.name, data_dir, {*source.patients}),
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
    folds, whole = scored_splits.open_folds(workdir, data_dir=data_dir)
    about = out_of_fold.joined([fold.restored.record.about for fold in folds])
    data_dir = data_dir or about.config["data"]["data_dir"]
    precision.set_precision(about.config)
    for fold in folds:
        scorable.refuse_trained(fold.source, fold.restored.record.about, fold.split)
    scored = [_score(fold.restored, fold.source, stop) for fold in folds]
    name, first = whole.info.name, folds[0].restored
    return report_writing.write(
        first._replace(record=first.record._replace(about=about)),
        whole,
        Answers(
            out_of_fold.pool(scored, [fold.source for fold in folds], whole),
            out_of_fold.make_labeller(folds, whole),
            ensembles.step_of(workdir),
            folds,
        ),
        report_folders.report_folder(workdir, about, name, out_of_fold.SPLIT),
        note=notes.of_folds(folds),
        title=f"{about.config['model']['name']} on {name}, out of fold: "
        f"{len(folds)} of {len(fold_rule.folds_of(whole.info, folds[0].split))} folds",
        split=out_of_fold.SPLIT,
        origin=report_pages.origin_of(workdir, [fold[1:] for fold in folds], data_dir),
        places=institutions.read(name, data_dir, {*whole.patients}),
    )


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


def _remedy(workdir: str | pathlib.Path) -> str:
    """What to do instead of scoring a model on patients that it was trained on."""
    if members.are_folds(workdir):
        return "Without --split each patient is scored by the fold that has not seen it"
    return "Choose another --split"
