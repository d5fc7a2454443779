"""Reports of masks: overlap per slice and patient; best, median and worst in pictures."""

import math
import pathlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from brainseg_jax.data import image_files, sources
from brainseg_jax.data.info import Info
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import dice_by_label, overlap
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports.parts import figures, planes
from brainseg_jax.tasks.parts.task import Task

Row = dict[str, Any]
Predict = Callable[[int], np.ndarray]  # example -> its predicted labels [h, w, 1]
CURVES = {"patient_dice": "Dice", "patient_iou": "IoU"}  # drawn over the epochs
OWN_CLASS = f"patient_dice_of_{dice_by_label.OWN}"
TVERSKY = {"alpha": 0.3, "beta": 0.7}  # false positives and misses, as in the loss


def check_examples(
    training: sources.Source, validation: sources.Source, task: Task, metric: str
) -> None:
    """Refuses nothing: slices with tumour, without, or both can be segmented."""


def score_names(task: Task, info: Info) -> tuple[str, ...]:
    """What can be in a summary, but for the loss."""
    known = scores.score_names(task.classes)
    if not info.kinds:
        return known
    return known + dice_by_label.score_names(info.kinds, task.classes)


def summarise(
    scored: Scored, source: sources.Source, task: Task, empty: str
) -> dict[str, float]:
    """Every score by name; Dice by kind where the data set's labels tell kinds apart."""
    loss = {"loss": float(scored.loss.mean(dtype=float))}
    summary = scores.summarise(
        scored.measured, source.patients, classes=task.classes, empty=empty
    )
    if not (kinds := source.info.kinds):
        return loss | summary
    by_kind = dice_by_label.summarise(
        scored.measured,
        source.labels,
        source.patients,
        names=kinds,
        classes=task.classes,
        empty=empty,
    )
    return loss | summary | by_kind


def policies(options: Mapping[str, Any]) -> Row:
    """How the scores were computed."""
    return {
        "threshold": options["threshold"],
        "empty_masks": options["empty"],
        "mirrored": options["mirror"],
        "tversky": TVERSKY,
    }


def tables(
    scored: Scored, source: sources.Source, task: Task, empty: str
) -> dict[str, list[Row]]:
    """Rows by file name."""
    return {
        "metrics.csv": _slice_table(scored, source, task.classes, empty),
        "patients.csv": _patient_table(scored, source, task.classes, empty),
    }


def draw(
    task: Task,
    source: sources.Source,
    scored: Scored,
    rows: dict[str, list[Row]],
    folder: pathlib.Path,
    *,
    predict: Predict,
    note: str,
    title: str,
) -> None:
    """Dice of every patient as bars; the best, median and worst in five panels each."""
    name = task.classes[0]
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
        _panels(predict, source, scored, first), folder / "panels.png", title=title,
        note=note,
    )  # fmt: skip


def headline(summary: dict[str, float], about: Row) -> tuple[dict[str, str], str]:
    """The scores a reader asks for first, and what has to be said below them."""
    rows, over = {}, ""
    if OWN_CLASS in summary:
        name = f"mean Dice of {about['patients']} patients' own class, 95 % interval"
        rows[name], over = _with_interval(summary, OWN_CLASS), "over all classes: "
    name = f"{over}mean Dice over {about['patients']} patients, 95 % interval"
    rows[name] = _with_interval(summary, "patient_dice")
    for name, key in (
        ("median Dice over patients", "patient_dice_median"),
        ("mean IoU over patients", "patient_iou"),
        ("mean precision over patients", "patient_precision"),
        ("mean recall over patients", "patient_recall"),
        (f"mean Dice over {about['slices']} slices", "slice_dice"),
        ("mean Dice over slices with tumour", "slice_dice_tumour"),
        ("slice detection accuracy (tumour or none)", "slice_detection_accuracy"),
    ):
        rows[over + name] = f"{summary[key]:.3f}"
    said = f"two empty masks score: {about['empty_masks']}"
    return rows | _by_label(summary), said


def _by_label(summary: Mapping[str, float]) -> Row:
    """Rows of the Dice of each label that there are slices of."""
    prefix = "patient_dice_of_"
    return {
        f"mean Dice over patients with {name.removeprefix(prefix).replace('_', ' ')}": (
            _with_interval(summary, name)
        )
        for name in summary
        if name.startswith(prefix) and f"{name}_low" in summary
        if name != OWN_CLASS and not math.isnan(summary[name])
    }


def _with_interval(summary: Mapping[str, float], name: str) -> str:
    low, high = summary[f"{name}_low"], summary[f"{name}_high"]
    return f"{summary[name]:.3f} ({low:.3f} to {high:.3f})"


def _slice_table(
    scored: Scored, source: sources.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per slice and class: its origin, its kind, counts and ratios."""
    rows = [
        {
            "key": source.keys[i],
            "patient": source.patients[i],
            "slice": source.slices[i],
            **_kind_of(source, [i]),
            "loss": float(scored.loss[i]),
        }
        for i in range(len(source))
    ]
    return _with_counts(rows, scored.measured, classes, empty)


def _patient_table(
    scored: Scored, source: sources.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per patient and class: its kind, counts and ratios over the whole volume."""
    names, volumes = scores.by_group(scored.measured, source.patients)
    members: dict[Hashable, list[int]] = {name: [] for name in names}
    for i, name in enumerate(source.patients):
        members[name].append(i)
    rows = [
        {"patient": name, "slices": len(own), **_kind_of(source, own)}
        for name, own in members.items()
    ]
    return _with_counts(rows, volumes, classes, empty)


def _kind_of(source: sources.Source, members: Sequence[int]) -> Row:
    """The column "label": what these slices are of, where the data set says it."""
    kinds = source.info.kinds
    own = sorted({int(source.labels[i]) for i in members})
    return {"label": "+".join(kinds[place] for place in own)} if kinds else {}


def _with_counts(
    rows: list[Row], counts: Counts, classes: Sequence[str], empty: str
) -> list[Row]:
    ratios = {
        "dice": overlap.dice(counts, empty=empty),
        "iou": overlap.iou(counts, empty=empty),
        "tversky": overlap.tversky(counts, **TVERSKY, empty=empty),
        "precision": overlap.precision(counts, empty=empty),
        "recall": overlap.recall(counts, empty=empty),
        "specificity": overlap.specificity(counts, empty=empty),
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
    predict: Predict,
    source: sources.Source,
    scored: Scored,
    patient_rows: list[Row],
) -> list[figures.Slice]:
    """The best, median and worst patient, each by the slice with the most tumour.

    Of a patient without tumour, by the slice with the most pixels predicted.
    """
    known = [row for row in patient_rows if not np.isnan(row["dice"])]
    ranked = sorted(known, key=lambda row: row["dice"])
    middle = ranked[(len(ranked) - 1) // 2]  # of an even number the lower
    picks = {"best": ranked[-1], "median": middle, "worst": ranked[0]}
    counts = scored.measured
    extent = counts.true_positives + counts.false_negatives
    extent = np.where(extent > 0, extent, counts.false_positives * 1e-6)[:, 0]
    panels = []
    for label, row in picks.items():
        members = np.flatnonzero(np.array(source.patients) == row["patient"])
        chosen = int(members[np.argmax(extent[members])])
        image, mask = source.read_stored(chosen)
        found = predict(chosen)[..., 0]
        labels = next(iter(source.info.classes.values()))
        truth, prediction = np.isin(mask[..., 0], labels), np.isin(found, labels)
        plane = planes.choose_plane(image, truth if truth.any() else prediction)
        panels.append(
            figures.Slice(
                label=f"{label} · {row['patient']} slice {source.slices[chosen]} · "
                f"Dice of the patient {row['dice']:.2f}",
                image=image_files.as_8_bits(image[plane]),
                truth=truth[plane],
                prediction=prediction[plane],
            )
        )
    return panels
