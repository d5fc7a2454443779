"""Scores a model on a split: per slice, per patient, in tables and pictures."""

import json
import math
import pathlib
from collections.abc import Callable
from typing import Any

from absl import logging
from rich.console import Console
from rich.progress import track
from rich.table import Table

from brainseg_jax import files, parallel, registry, reports, tasks
from brainseg_jax.data import info as data_info
from brainseg_jax.data import leakage, reading, sources
from brainseg_jax.data.info import Info
from brainseg_jax.inference import blending, folding, post_processing, scoring
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.interrupt import Interrupted, StopRequest
from brainseg_jax.reports.parts import figures
from brainseg_jax.runs import ensembles, experiment, precision, restore
from brainseg_jax.runs.predictor import make_labeller
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored

Row = dict[str, Any]


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

    Raises:
        FileNotFoundError: if there is no checkpoint, or the data set is not prepared.
        ValueError: if the data set has other channels or classes, or if patients were
            trained on and that is not allowed.
        Interrupted: if `stop` asked to.
    """
    restored = ensembles.restore_all(workdir)
    about, task = restored.record.about, restored.parts.task
    precision.set_precision(about.config)
    split = split or default_split(about)
    source = open_source(restored, split, data_name=data_name, data_dir=data_dir)
    named_by = registry.find(tasks, task.name).NAMED_BY
    _check_kind(source.info, about.info, ("channels", *named_by))
    _check_spacing(source.info, about.info)
    if not allow_contaminated:
        _refuse_trained(source, about, split)
    return report(
        restored,
        source,
        report_folder(workdir, about, source.info.name, split),
        note="; ".join(
            filter(None, (ensembles.said(workdir), make_note(about, source, split)))
        ),
        title=f"{about.config['model']['name']} on {source.info.name} {split}",
        rules=ensembles.rules_of(workdir, restored),
        stop=stop,
    )


def open_source(
    restored: Restored, split: str, *, data_name: str = "", data_dir: str = ""
) -> sources.Source:
    """A split as it is scored, of the run's own data set unless another is named.

    Raises:
        FileNotFoundError: if the data set is not prepared.
        ValueError: if the split cannot be scored so.
    """
    about, task = restored.record.about, restored.parts.task
    options = about.settings.data
    name, data_dir = data_name or options.name, data_dir or options.data_dir
    return sources.open_split(
        name,
        split,
        data_dir,
        channels=_channels(data_info.read_info(name, data_dir), about.info),
        size=experiment.scored_size(about.settings),
        normalisation=options.normalisation.to_dict(),
        foreground=about.settings.task.foreground,
        stored_masks=True,
        with_masks=task.uses_masks,
        only_tumour=options.only_tumour,
    )


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


def report_folder(
    workdir: str | pathlib.Path, about: About, data_name: str, split: str
) -> pathlib.Path:
    """Where a split's report lies; another data set's has its name before it."""
    own = data_name == about.config["data"]["name"]
    first, *others = ensembles.folders(workdir)
    joined = [f"ensemble_of_{1 + len(others)}"] if others else []
    parts = joined if own else [*joined, data_name.replace("/", "_")]
    name = "_".join([*parts, split.replace("+", "_")])
    return pathlib.Path(first) / "evaluation" / name


def is_reported(workdir: str | pathlib.Path) -> bool:
    """Whether a run's own split was scored with its best checkpoint."""
    record = restore.read_best(workdir)
    about = record.about
    name, split = about.config["data"]["name"], default_split(about)
    path = report_folder(workdir, about, name, split) / "summary.json"
    return _reported_step(path) == record.step


def _reported_step(path: pathlib.Path) -> int | None:
    """Of the checkpoint that a summary is of; None where there is none, or damaged."""
    try:
        return json.loads(path.read_text())["checkpoint_step"]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None


def _refuse_trained(source: sources.Source, about: About, split: str) -> None:
    if shared := leakage.known(source.patients, about.trained_patients):
        raise ValueError(
            f"{len(shared)} of {len(set(source.patients))} patients of {split} were "
            f"trained on ({', '.join(shared[:3])}...): its scores would say nothing of new "
            "patients. Choose another --split, or add --allow_contaminated."
        )


def _check_kind(info: Info, trained: Info, fields: tuple[str, ...]) -> None:
    """A model can only be scored on channels and classes that it was trained with."""
    for what in fields:
        own, known = getattr(info, what), getattr(trained, what)
        if own != known:
            raise ValueError(
                f"{info.name} has the {what} {own}, the model was trained with "
                f"{known} of {trained.name}; it cannot be scored there."
            )


def _check_spacing(info: Info, trained: Info) -> None:
    """Scores are of voxels as they are stored, which `predict` would resample.

    Of the model's own data set, whose volumes may differ, they are told of and scored.
    """
    if info.alike_spaced(trained):
        return
    own, known = (" x ".join(map(str, one.spacing)) for one in (info, trained))
    if info.name == trained.name:
        logging.warning(
            "Most voxels of this split are of %s mm, those trained on of %s mm: scored as "
            "stored, not resampled.",
            own,
            known,
        )
    else:
        raise ValueError(
            f"{info.name} has voxels of {own} mm, the model was trained on {known} mm of "
            f"{trained.name}. Scoring does not resample: resample the raw files to {known} "
            "mm and prepare them again, or write masks with --mode=predict, which does."
        )


def _channels(info: Info, trained: Info) -> tuple[str, ...]:
    """Those that the model takes, by name; all, to be refused, where some are missing."""
    return trained.channels if {*trained.channels} <= {*info.channels} else ()


def report(
    restored: Restored,
    source: sources.Source,
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
    rules: Rules | None = None,
    stop: StopRequest | None = None,
) -> dict[str, float]:
    """Scores a split, writes tables and pictures to `folder`, prints the summary.

    By post-processing `rules` it is scored once more, beside the scores without.

    Raises:
        ValueError: if a stored image is damaged, or a volume would have to be resized.
        OSError: if `folder` cannot be written.
        Interrupted: if `stop` asked to.
    """
    task, record = restored.parts.task, restored.record
    options = record.about.settings.evaluation
    scored = _score(restored, source, stop)
    own = registry.find(reports, task.name)
    summary = own.summarise(scored, source, task, options.empty)
    tables = own.tables(scored, source, task, options.empty)
    for name, rows in tables.items():
        files.write_csv(folder / name, [{**row, "note": note} for row in rows])
    _draw_training(restored, folder, note=note, title=title)
    own.draw(
        task,
        source,
        scored,
        tables,
        folder,
        predict=predict_labels(restored, source),
        note=note,
        title=title,
    )
    logging.info("pictures: %s", folder)
    said = {
        "note": note,
        "data": f"{source.info.name} {source.info.version}",
        "patients": len(set(source.patients)),
        "slices": len(source),
        "dimensions": source.info.dimensions,
        "checkpoint_step": record.step,
        **own.policies(options.to_dict()),
    }
    rows, caption = own.headline(summary, said)
    if rules:
        mended = _score_mended(restored, source, rules, folder, note)
        said["post_processing"] = {**rules._asdict(), "scores": mended}
        rows["the same after post-processing"] = f"{mended['patient_dice']:.3f}"
    # Last: with it the report is complete.
    files.write_json(folder / "summary.json", {**said, **summary})
    print_summary(rows, caption, title=title, note=note)
    Console().print(f"Tables and pictures: {folder}")
    return summary


def _score(
    restored: Restored, source: sources.Source, stop: StopRequest | None
) -> scoring.Scored:
    """Loss and measures of every example of a split, with a bar."""
    config, parts = restored.record.about.settings, restored.parts
    devices = parallel.local_devices(config.parallel.mode)
    fold = parallel.on_one_device(folding.make_fold(parts.model, parts.shape))
    variables = devices.replicate(fold(restored.variables))
    windows = experiment.windows_of(config)
    step = devices.eval_step(
        scoring.make_eval_step(
            parts.model, parts.task, parts.loss, config.evaluation.mirror, windows
        )
    )
    scored = scoring.score_split(
        step,
        variables,
        source,
        task=parts.task,
        devices=devices,
        batch_size=config.evaluation.batch_size,
        windows=windows,
        resident={},
        stop=(lambda: stop.signal is not None) if stop else (lambda: False),
        show=lambda examples, total: track(
            examples, "evaluating", total=total, transient=True
        ),
    )
    if scored is None:
        raise Interrupted(
            "Stopped while scoring; training is finished and saved, and "
            "the same command scores again.",
            stop.status if stop else 1,
        )
    return scored


def _score_mended(
    restored: Restored,
    source: sources.Source,
    rules: Rules,
    folder: pathlib.Path,
    note: str,
) -> dict[str, float]:
    """Scores of the labels after post-processing, and patients_post_processed.csv."""
    predict, task = make_labeller(restored), restored.parts.task
    empty = restored.record.about.settings.evaluation.empty

    def label(example: dict[str, Any]) -> blending.Labelled:
        labels = predict(example["image"], example["scaling"])
        labels = post_processing.apply(labels, rules)
        return blending.Labelled(labels, math.nan)

    shown = track(
        reading.whole_examples(source), "mending", total=len(source), transient=True
    )
    scored = scoring.score_labels(label, iter(shown), source.info.members)
    assert scored is not None
    own = registry.find(reports, task.name)
    rows = own.tables(scored, source, task, empty)["patients.csv"]
    files.write_csv(
        folder / "patients_post_processed.csv", [{**row, "note": note} for row in rows]
    )
    summary = own.summarise(scored, source, task, empty)
    return {name: value for name, value in summary.items() if name != "loss"}


def predict_labels(restored: Restored, source: sources.Source) -> Callable[[int], Any]:
    """Predicted labels [*space, 1] of one example of a split; of two heads of each."""
    label = make_labeller(restored)

    def labels(index: int) -> Any:
        return label(source.read_stored(index)[0], source.scaling[index])

    return labels


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
    Console().print(table)
