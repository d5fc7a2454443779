"""Masks: overlap per slice and patient; the best, median and worst patients in pictures."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from brainseg_jax import data, experiment, figures, metrics, scores, steps
from brainseg_jax.metrics import Counts
from brainseg_jax.scoring import Scored
from brainseg_jax.tasks import Task

Row = dict[str, Any]
CURVES = {"patient_dice": "Dice", "patient_iou": "IoU"}  # drawn over the epochs
TVERSKY = {"alpha": 0.3, "beta": 0.7}  # false positives and misses, as in the loss


def score_names() -> tuple[str, ...]:
    """Every score of a data set of one class."""
    one = Counts(*(np.ones((1, 1), int) for _ in Counts._fields))
    return tuple(scores.summarise(one, ["patient"], classes=["class"], resamples=1))


def check(
    training: data.Source, validation: data.Source, task: Task, metric: str
) -> None:
    """Any slices will do to segment: with tumour, without, or both."""


def summarise(
    scored: Scored, source: data.Source, task: Task, empty: str
) -> dict[str, float]:
    summary = scores.summarise(
        scored.measured, source.patients, classes=task.classes, empty=empty
    )
    return {"loss": float(scored.loss.mean(dtype=float)), **summary}


def policies(options: Mapping[str, Any]) -> Row:
    """How the scores were computed."""
    return {
        "threshold": options["threshold"],
        "empty_masks": options["empty"],
        "mirrored": options["mirror"],
        "tversky": TVERSKY,
    }


def tables(
    scored: Scored, source: data.Source, task: Task, empty: str
) -> dict[str, list[Row]]:
    """Rows by file name."""
    return {
        "metrics.csv": _slice_table(scored, source, task.classes, empty),
        "patients.csv": _patient_table(scored, source, task.classes, empty),
    }


def draw(
    restored: experiment.Restored,
    source: data.Source,
    scored: Scored,
    rows: dict[str, list[Row]],
    folder: pathlib.Path,
    *,
    note: str,
    title: str,
) -> None:
    """Bars, and the best, median and worst patients in five panels."""
    name = restored.task.classes[0]
    first = [row for row in rows["patients.csv"] if row["class"] == name]
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
    figures.five_panels(
        _panels(restored, source, scored, first), folder / "panels.png", title=title,
        note=note,
    )  # fmt: skip


def headline(summary: dict[str, float], about: Row) -> tuple[dict[str, str], str]:
    """The scores a reader asks for first, and what has to be said below them."""
    low, high = summary["patient_dice_low"], summary["patient_dice_high"]
    first = f"{summary['patient_dice']:.3f} ({low:.3f} to {high:.3f})"
    rows = {f"mean Dice over {about['patients']} patients, 95 % interval": first}
    for name, key in (
        ("median Dice over patients", "patient_dice_median"),
        ("mean IoU over patients", "patient_iou"),
        ("mean precision over patients", "patient_precision"),
        ("mean recall over patients", "patient_recall"),
        (f"mean Dice over {about['slices']} slices", "slice_dice"),
        ("mean Dice over slices with tumour", "slice_dice_tumour"),
        ("slices told right: tumour or none", "slice_detection_accuracy"),
    ):
        rows[name] = f"{summary[key]:.3f}"
    return rows, f"two empty masks score: {about['empty_masks']}"


def _slice_table(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per slice and class: where it comes from, counts and ratios."""
    rows = [
        {"key": key, "patient": patient, "slice": number, "loss": float(loss)}
        for key, patient, number, loss in zip(
            source.keys, source.patients, source.slices, scored.loss, strict=True
        )
    ]
    return _with_counts(rows, scored.measured, classes, empty)


def _patient_table(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per patient and class, over the whole volume."""
    names, volumes = scores.by_group(scored.measured, source.patients)
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
        "tversky": metrics.tversky(counts, **TVERSKY, empty=empty),
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
    counts = scored.measured
    extent = counts.true_positives + counts.false_negatives
    extent = np.where(extent > 0, extent, counts.false_positives * 1e-6)[:, 0]
    panels = []
    for label, row in picks.items():
        members = np.flatnonzero(np.array(source.patients) == row["patient"])
        chosen = int(members[np.argmax(extent[members])])
        image, mask = source.read_stored(chosen)
        found = _predict_one(restored, source, chosen)
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


def _predict_one(
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
