"""Scores a model on a split: per slice, per patient, in tables and pictures."""

import functools
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging
from rich.console import Console
from rich.progress import track
from rich.table import Table

from brainseg_jax import files, parallel, registry, reports, tasks
from brainseg_jax.data import sources
from brainseg_jax.inference import scoring
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.interrupt import Interrupted, StopRequest
from brainseg_jax.reports.parts import figures
from brainseg_jax.runs import experiment

Row = dict[str, Any]


def evaluate(
    workdir: str | pathlib.Path,
    split: str = "",
    *,
    data_name: str = "",
    data_dir: str = "",
    allow_contaminated: bool = False,
    stop: StopRequest | None = None,
) -> dict[str, float]:
    """Scores the best checkpoint of `workdir`; empty arguments mean its own config's."""
    restored = experiment.restore(workdir)
    record = restored.record
    options = record["config"]["data"]
    source = sources.load(
        data_name or options["name"],
        split := split or options["test"],
        data_dir or options["data_dir"],
        size=tuple(options["size"]),
        normalisation=options["normalisation"],
        keep=False,
        stored_masks=True,
        with_masks=restored.task.uses_masks,
        only_tumour=options["only_tumour"],
    )
    named_by = registry.find(tasks, restored.task.name).NAMED_BY
    _check_kind(source.info, record["data"], named_by)
    shared = sorted(set(source.patients) & set(record["trained_patients"]))
    if shared and not allow_contaminated:
        raise ValueError(
            f"{len(shared)} of {len(set(source.patients))} patients of {split} were "
            f"trained on ({', '.join(shared[:3])}...): its scores would say nothing of "
            "new patients. Choose another --split, or add --allow_contaminated."
        )
    notes = [source.info.note(options["train"], split)]
    if shared:
        notes.append(f"CONTAMINATED: {len(shared)} patients were trained on")
    if set(split.split("+")) & set(options["validation"].split("+")):
        notes.append("VALIDATION: the epoch was chosen on these patients")
    if options["only_tumour"]:
        notes.append("only slices with tumour")
    return report(
        restored,
        source,
        report_folder(workdir, record, source.info.name, split),
        note="; ".join(filter(None, notes)),
        title=f"{record['config']['model']['name']} on {source.info.name} {split}",
        stop=stop,
    )


def report_folder(
    workdir: str | pathlib.Path, record: Row, data_name: str, split: str
) -> pathlib.Path:
    """Where a split's report lies; another data set's has its name before it."""
    own = data_name == record["config"]["data"]["name"]
    parts = [] if own else [data_name.replace("/", "_")]
    name = "_".join([*parts, split.replace("+", "_")])
    return pathlib.Path(workdir) / "evaluation" / name


def is_reported(workdir: str | pathlib.Path, record: Row) -> bool:
    """Whether the test split was scored with this very checkpoint."""
    options = record["config"]["data"]
    folder = report_folder(workdir, record, options["name"], options["test"])
    path = folder / "summary.json"
    return path.exists() and (
        json.loads(path.read_text())["checkpoint_step"] == record["step"]
    )


def _check_kind(info: sources.Info, trained: Row, named_by: str) -> None:
    """A model can only be scored on channels and classes that it was trained with."""
    for what in ("channels", named_by):
        own = getattr(info, what)
        own = list(own) if isinstance(own, tuple) else own
        if own != trained[what]:
            raise ValueError(
                f"{info.name} has the {what} {own}, the model was trained with "
                f"{trained[what]} of {trained['name']}; it cannot be scored there."
            )


def report(
    restored: experiment.Restored,
    source: sources.Source,
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
    stop: StopRequest | None = None,
) -> dict[str, float]:
    """Scores a split, writes tables and pictures to `folder`, prints the summary."""
    config = restored.record["config"]
    options = config["evaluation"]
    devices = parallel.local_devices(config["parallel"]["mode"])
    variables = devices.replicate(restored.variables)
    step = devices.eval_step(
        scoring.make_eval_step(
            restored.model, restored.task, config["losses"], options["mirror"]
        )
    )
    batch_size = scoring.fitting(options["batch_size"], devices)
    batches = sources.evaluation_batches(source, batch_size, resident=False)
    total = -(-len(source) // batch_size)
    shown = track(batches, "evaluating", total=total, transient=True)
    stopped = (lambda: stop.signal is not None) if stop else (lambda: False)
    scored = scoring.score(step, variables, {}, shown, devices, stopped)
    if scored is None:
        raise Interrupted(
            "Stopped while scoring the test split; training is finished and saved, and "
            "the same command scores again.",
            stop.status if stop else 1,
        )

    own = registry.find(reports, restored.task.name)
    summary = own.summarise(scored, source, restored.task, options["empty"])
    tables = own.tables(scored, source, restored.task, options["empty"])
    for name, rows in tables.items():
        files.write_csv(folder / name, [{**row, "note": note} for row in rows])
    draw(restored, folder, note=note, title=title)
    predict = _predictor(restored, source)
    own.draw(
        restored.task,
        source,
        scored,
        tables,
        folder,
        predict=predict,
        note=note,
        title=title,
    )
    logging.info("pictures: %s", folder)
    about = {
        "note": note,
        "data": f"{source.info.name} {source.info.version}",
        "patients": len(set(source.patients)),
        "slices": len(source),
        "checkpoint_step": restored.step,
        **own.policies(options),
    }
    # Last: with it the report is complete.
    files.write_json(folder / "summary.json", {**about, **summary})
    print_summary(*own.headline(summary, about), title=title, note=note)
    Console().print(f"Tables and pictures: {folder}")
    return summary


def _predictor(
    restored: experiment.Restored, source: sources.Source
) -> Callable[[int], np.ndarray]:
    """Predicted labels of one example of a split; compiled once."""
    step = parallel.on_one_device(
        functools.partial(
            inference_steps.predict_step,
            model=restored.model,
            task=restored.task,
            mirror=restored.record["config"]["evaluation"]["mirror"],
        )
    )

    def predict(index: int) -> np.ndarray:
        probs = step(restored.variables, {}, source.take(np.array([index])))["probs"]
        return np.asarray(restored.task.predict(probs))[0]

    return predict


def draw(
    restored: experiment.Restored, folder: pathlib.Path, *, note: str, title: str
) -> None:
    """What every task has: the curves of its training."""
    curves = registry.find(reports, restored.task.name).CURVES
    figures.training_curves(
        restored.record["history"],
        folder / "training.png",
        scores={f"validation_{name}": label for name, label in curves.items()},
        best_epoch=restored.record["best_epoch"],
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
