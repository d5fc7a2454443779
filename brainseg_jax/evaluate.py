"""Scores a model on a split: per slice, per patient, in tables and pictures."""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from rich.console import Console
from rich.progress import track
from rich.table import Table

from brainseg_jax import (
    data,
    experiment,
    figures,
    files,
    parallel,
    scores,
    scoring,
    steps,
)
from brainseg_jax.interrupt import Interrupted, StopRequest

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
    source = data.load(
        data_name or options["name"],
        split := split or options["test"],
        data_dir or options["data_dir"],
        size=tuple(options["size"]),
        normalisation=options["normalisation"],
        keep=False,
        stored_masks=True,
        only_tumour=options["only_tumour"],
    )
    _check_kind(source.info, record["data"])
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


def _check_kind(info: data.Info, trained: Row) -> None:
    """A model can only be scored on channels and classes that it was trained with."""
    for what, own in (("channels", list(info.channels)), ("classes", info.classes)):
        if own != trained[what]:
            raise ValueError(
                f"{info.name} has the {what} {own}, the model was trained with "
                f"{trained[what]} of {trained['name']}; it cannot be scored there."
            )


def report(
    restored: experiment.Restored,
    source: data.Source,
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
    batches = data.evaluation_batches(source, batch_size, resident=False)
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

    describe = (source, restored.task.classes, options["empty"])
    summary = scoring.summarise(scored, *describe)
    patients = scoring.patient_table(scored, *describe)
    slices = scoring.slice_table(scored, *describe)
    for name, rows in (("metrics.csv", slices), ("patients.csv", patients)):
        files.write_csv(folder / name, [{**row, "note": note} for row in rows])
    draw(restored, source, scored, patients, folder, note=note, title=title)
    about = {
        "note": note,
        "data": f"{source.info.name} {source.info.version}",
        "patients": len(set(source.patients)),
        "slices": len(source),
        "checkpoint_step": restored.step,
        "threshold": options["threshold"],
        "empty_masks": options["empty"],
        "mirrored": options["mirror"],
        "tversky": scoring.TVERSKY,
    }
    # Last: with it the report is complete.
    files.write_json(folder / "summary.json", {**about, **summary})
    print_summary(summary, about, title)
    Console().print(f"Tables and pictures: {folder}")
    return summary


def draw(
    restored: experiment.Restored,
    source: data.Source,
    scored: scoring.Scored,
    patient_rows: list[Row],
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
) -> None:
    """Curves, bars, and the best, median and worst patients in five panels."""
    first = [row for row in patient_rows if row["class"] == restored.task.classes[0]]
    dice = np.array([row["dice"] for row in first])
    if np.isnan(dice).all():
        logging.warning("No patient has a score under this policy: nothing to draw.")
        return
    figures.patient_bars(
        [row["patient"] for row in first],
        dice,
        folder / "patients.png",
        interval=scores.bootstrap_interval(dice),
        title=f"{title}: Dice per patient",
        note=note,
    )
    history = restored.record["history"]
    figures.training_curves(
        history,
        folder / "training.png",
        best_epoch=restored.record["best_epoch"],
        title=title,
        note=note,
    )
    figures.five_panels(
        _panels(restored, source, scored, first), folder / "panels.png", title=title,
        note=note,
    )  # fmt: skip
    logging.info("pictures: %s", folder)


def _panels(
    restored: experiment.Restored,
    source: data.Source,
    scored: scoring.Scored,
    patient_rows: list[Row],
) -> list[figures.Slice]:
    """Of each of the three patients the slice with the most tumour, found or there."""
    known = [row for row in patient_rows if not np.isnan(row["dice"])]
    ranked = sorted(known, key=lambda row: row["dice"])
    picks = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    extent = scored.counts.true_positives + scored.counts.false_negatives
    extent = np.where(extent > 0, extent, scored.counts.false_positives * 1e-6)[:, 0]
    panels = []
    for label, row in picks.items():
        members = np.flatnonzero(np.array(source.patients) == row["patient"])
        chosen = int(members[np.argmax(extent[members])])
        image, mask = source.read_stored(chosen)
        found = predict_one(restored, source, chosen)
        value = next(iter(source.info.classes.values()))
        panels.append(
            figures.Slice(
                label=f"{label} · {row['patient']} slice {source.slices[chosen]} · "
                f"Dice of the patient {row['dice']:.2f}",
                image=image,
                truth=mask[..., 0] == value,
                prediction=found[..., 0] == value,
            )
        )
    return panels


def predict_one(
    restored: experiment.Restored, source: data.Source, index: int
) -> np.ndarray:
    """The predicted labels [h, w, 1] of one slice of a split."""
    batch = jax.tree.map(jnp.asarray, source.take(np.array([index])))
    mirror = restored.record["config"]["evaluation"]["mirror"]
    probs = steps.predict_step(
        restored.variables,
        {},
        batch,
        model=restored.model,
        task=restored.task,
        mirror=mirror,
    )["probs"]
    return np.asarray(restored.task.predict(probs))[0]


def print_summary(summary: dict[str, float], about: Row, title: str) -> None:
    """The scores a reader asks for first, under whatever has to be said of the data."""
    table = Table(title="\n".join(filter(None, (title, about["note"]))))
    for column in ("score", "value"):
        table.add_column(column, justify="right" if column == "value" else "left")
    low, high = summary["patient_dice_low"], summary["patient_dice_high"]
    headline = f"{summary['patient_dice']:.3f} ({low:.3f} to {high:.3f})"
    table.add_row(
        f"mean Dice over {about['patients']} patients, 95 % interval", headline
    )
    for name, key in (
        ("median Dice over patients", "patient_dice_median"),
        ("mean IoU over patients", "patient_iou"),
        ("mean precision over patients", "patient_precision"),
        ("mean recall over patients", "patient_recall"),
        (f"mean Dice over {about['slices']} slices", "slice_dice"),
        ("mean Dice over slices with tumour", "slice_dice_tumour"),
        ("slices told right: tumour or none", "slice_detection_accuracy"),
    ):
        table.add_row(name, f"{summary[key]:.3f}")
    table.caption = f"two empty masks score: {about['empty_masks']}"
    Console().print(table)
