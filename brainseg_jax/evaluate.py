"""Scores a model on a split: per slice, per patient, in tables and pictures."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
    metrics,
    parallel,
    scores,
    steps,
)
from brainseg_jax.interrupt import Interrupted, StopRequest
from brainseg_jax.metrics import Counts

Row = dict[str, Any]


class Scored(NamedTuple):
    """Loss and counts of every slice of a split, in the split's order."""

    loss: np.ndarray  # [n]
    counts: Counts  # each [n, c]


def evaluate(
    workdir: str,
    split: str = "",
    *,
    data_name: str = "",
    data_dir: str = "",
    allow_contaminated: bool = False,
) -> dict[str, float]:
    """Scores the best checkpoint of `workdir`; empty arguments mean its own config's."""
    restored = experiment.restore(workdir)
    config = restored.record["config"]
    source = data.load(
        data_name or config["data"]["name"],
        split := split or config["data"]["test"],
        data_dir or config["data"]["data_dir"],
        size=tuple(config["data"]["size"]),
        normalisation=config["data"]["normalisation"],
        keep=False,
        stored_masks=True,
    )
    contaminated = refuse_contaminated(
        source, restored.record["trained_patients"], allowed=allow_contaminated
    )
    notes = [source.info.note(split)]
    if contaminated:
        notes.append(f"CONTAMINATED: {contaminated} patients were trained on")
    return report(
        restored,
        source,
        report_folder(workdir, split),
        note="; ".join(filter(None, notes)),
        title=f"{config['model']['name']} on {source.info.name} {split}",
    )


def report_folder(workdir: str | pathlib.Path, split: str) -> pathlib.Path:
    return pathlib.Path(workdir) / "evaluation" / split.replace("+", "_")


def refuse_contaminated(
    source: data.Source, trained: Sequence[str], *, allowed: bool
) -> int:
    """How many of the split's patients were trained on; an error unless allowed."""
    shared = sorted(set(source.patients) & set(trained))
    if shared and not allowed:
        raise ValueError(
            f"{len(shared)} of {len(set(source.patients))} patients of this split were "
            f"trained on ({', '.join(shared[:3])}...): its scores would say nothing of "
            "new patients. Choose another --split, or add --allow_contaminated."
        )
    return len(shared)


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
        make_eval_step(
            restored.model, restored.task, config["losses"], options["mirror"]
        )
    )
    batch_size = fitting(options["batch_size"], devices)
    batches = data.evaluation_batches(source, batch_size, resident=False)
    total = -(-len(source) // batch_size)
    shown = track(batches, "evaluating", total=total, transient=True)
    stopped = (lambda: stop.signal is not None) if stop else (lambda: False)
    scored = score(step, variables, {}, shown, devices, stopped)
    if scored is None:
        raise Interrupted(
            "Stopped while scoring the test split; training is finished and saved, and "
            "the same command scores again.",
            stop.status if stop else 1,
        )

    empty = options["empty"]
    summary = summarise(scored, source, restored.task.classes, empty)
    slice_rows = slice_table(scored, source, restored.task.classes, empty)
    patient_rows = patient_table(scored, source, restored.task.classes, empty)
    files.write_csv(folder / "metrics.csv", slice_rows)
    files.write_csv(folder / "patients.csv", patient_rows)
    about = {
        "note": note,
        "data": f"{source.info.name} {source.info.version}",
        "patients": len(patient_rows),
        "slices": len(source),
        "checkpoint_step": restored.step,
        "threshold": options["threshold"],
        "empty_masks": empty,
        "mirrored": options["mirror"],
    }
    files.write_json(folder / "summary.json", {**about, **summary})
    draw(restored, source, scored, patient_rows, folder, note=note, title=title)
    print_summary(summary, about, title)
    Console().print(f"Tables and pictures: {folder}")
    return summary


def make_eval_step(model, task, losses: dict, mirror: Sequence[str]) -> Callable:
    """eval_step with everything but (variables, resident, batch) bound."""
    loss = experiment.make_loss(losses, task)

    def step(variables, resident, batch):
        return steps.eval_step(
            variables, resident, batch, model=model, task=task, loss=loss, mirror=mirror
        )

    return step


def fitting(batch_size: int, devices: parallel.Devices) -> int:
    """The batch size, rounded up to a multiple of the devices."""
    count = len(devices.devices)
    return -(-batch_size // count) * count


def score(
    step: Callable,
    variables: Any,
    resident: Any,
    batches: Any,
    devices: parallel.Devices,
    stop: Callable[[], bool] = lambda: False,
) -> Scored | None:
    """Runs over all batches, one fetch behind; None if `stop` asked to."""
    fetched, valid, waiting = [], [], None
    for batch in batches:
        if stop():
            return None
        valid.append(batch.pop("valid"))
        result = step(variables, resident, devices.shard(batch))
        if waiting is not None:
            fetched.append(devices.gather(waiting))
        waiting = result
    fetched.append(devices.gather(waiting))
    keep = np.concatenate(valid)
    joined = jax.tree.map(lambda *parts: np.concatenate(parts)[keep], *fetched)
    return Scored(joined["loss"], joined["counts"])


def summarise(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> dict[str, float]:
    summary = scores.summarise(
        scored.counts, source.patients, classes=classes, empty=empty
    )
    return {"loss": float(scored.loss.mean(dtype=float)), **summary}


def slice_table(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per slice and class: where it comes from, counts and ratios."""
    loss = [{"loss": float(value)} for value in scored.loss]
    rows = [
        {"key": key, "patient": patient, "slice": number}
        for key, patient, number in zip(
            source.keys, source.patients, source.slices, strict=True
        )
    ]
    rows = [{**row, **value} for row, value in zip(rows, loss, strict=True)]
    return _with_counts(rows, scored.counts, classes, empty)


def patient_table(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per patient and class, over the whole volume."""
    names, volumes = scores.by_group(scored.counts, source.patients)
    rows = [
        {"patient": name, "slices": source.patients.count(str(name))} for name in names
    ]
    return _with_counts(rows, volumes, classes, empty)


def _with_counts(
    rows: list[Row], counts: Counts, classes: Sequence[str], empty: str
) -> list[Row]:
    ratios = {
        "dice": metrics.dice(counts, empty=empty),
        "iou": metrics.iou(counts, empty=empty),
        "tversky": metrics.tversky(counts, alpha=0.3, beta=0.7, empty=empty),
        "precision": metrics.precision(counts, empty=empty),
        "recall": metrics.recall(counts, empty=empty),
        "specificity": metrics.specificity(counts, empty=empty),
    }
    return [
        {
            **row,
            "class": name,
            **{key: int(part[i, c]) for key, part in counts._asdict().items()},
            **{key: round(float(part[i, c]), 6) for key, part in ratios.items()},
        }
        for i, row in enumerate(rows)
        for c, name in enumerate(classes)
    ]


def draw(
    restored: experiment.Restored,
    source: data.Source,
    scored: Scored,
    patient_rows: list[Row],
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
) -> None:
    """Curves, bars, and the best, median and worst patients in five panels."""
    first = [row for row in patient_rows if row["class"] == restored.task.classes[0]]
    dice = np.array([row["dice"] for row in first])
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
    scored: Scored,
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
