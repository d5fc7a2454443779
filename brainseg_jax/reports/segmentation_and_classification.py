"""Reports of nets with two heads: both tasks' scores, tables and figures, side by side.

Names of scores begin with the head's, mask_ or label_; tables and figures lie in a folder
for each head, as the report of that task alone has them. The loss of a row there is the sum
over both heads.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from brainseg_jax.data import sources
from brainseg_jax.data.info import Info
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import dice_by_label
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.reports import classification, segmentation
from brainseg_jax.reports.parts import undefined
from brainseg_jax.reports.parts.patient_scores import Scores
from brainseg_jax.tasks.parts.task import Task

Row = dict[str, Any]
REPORTS = Heads(mask=segmentation, label=classification)
# Of whole patients and of slices, as patients of a small split are often all right.
BOTH = ("mask_patient_dice", "label_slice_balanced_accuracy")
MEAN = "dice_and_balanced_accuracy"
CURVES = {
    BOTH[0]: "Dice",
    BOTH[1]: "balanced accuracy\nof slices",
    "label_slice_accuracy": "accuracy\nof slices",
}

FIGURES = {
    f"{head}/{name}": caption
    for head, own in REPORTS.items()
    for name, caption in own.FIGURES.items()
}


def check_examples(
    training: sources.Source,
    validation: sources.Source | None,
    task: Task,
    metric: str,
) -> None:
    """Refuses what either task alone would.

    Raises:
        ValueError: says which, and what to change.
    """
    tasks = _tasks(task)
    classification.check_classes(training, tasks.label)
    if validation is None:
        return
    measured = Heads(
        mask=segmentation.perfect(validation),
        label=classification.perfect(validation, tasks.label),
    )
    right = Scored(np.zeros(len(validation)), measured)
    known = summarise(right, validation, task, "nan", resamples=1)
    reason = classification.UNDEFINED_BECAUSE
    if metric.startswith("mask_"):
        reason = segmentation.undefined_because(validation)
    undefined.require_defined(metric, known, reason)


def score_names(task: Task, info: Info) -> tuple[str, ...]:
    """What can be in a summary, but for the loss."""
    tasks = _tasks(task)
    names = REPORTS.map(lambda own, task: own.score_names(task, info), tasks)
    by_label = dice_by_label.score_names(tasks.label.classes, tasks.mask.classes)
    joined = _joined(names.map(lambda known: dict.fromkeys(known)))
    joined |= dict.fromkeys(f"mask_{name}" for name in by_label)
    return (MEAN, *joined)


def summarise(
    scored: Scored,
    source: sources.Source,
    task: Task,
    empty: str,
    resamples: int = 10_000,
) -> dict[str, float]:
    """Both tasks' scores, Dice by label, and dice_and_balanced_accuracy: BOTH's mean.

    Dice is by whatever the second head tells apart, be it kinds or tumour and none.
    """

    def of_head(own: ModuleType, task: Task, scored: Scored) -> dict[str, float]:
        summary = own.summarise(scored, source, task, empty, resamples)
        return {name: value for name, value in summary.items() if name != "loss"}

    by_label = dice_by_label.summarise(
        scored.measured.mask,
        source.labels,
        source.patients,
        names=_tasks(task).label.classes,
        classes=_tasks(task).mask.classes,
        empty=empty,
        resamples=resamples,
    )
    summary = _joined(REPORTS.map(of_head, _tasks(task), _of_each(scored)))
    summary |= {f"mask_{name}": value for name, value in by_label.items()}
    mean = float(np.mean([summary[name] for name in BOTH]))
    return {"loss": float(scored.loss.mean(dtype=float)), MEAN: mean, **summary}


def policies(options: Mapping[str, Any]) -> Row:
    """How the scores were computed."""
    return classification.policies(options) | segmentation.policies(options)


def tables(
    scored: Scored, source: sources.Source, task: Task, empty: str
) -> dict[str, list[Row]]:
    """Rows by file name, in a folder for each head."""

    def of_head(own: ModuleType, task: Task, scored: Scored) -> dict[str, list[Row]]:
        return own.tables(scored, source, task, empty)

    return _joined(REPORTS.map(of_head, _tasks(task), _of_each(scored)), "/")


def failures(
    tables: Mapping[str, list[Row]], source: sources.Source, task: Task
) -> dict[str, list[Row]]:
    """The worst patients of each head, as its failures.csv has them."""
    of_heads = Heads("mask", "label").map(
        lambda head, own, task: own.failures(
            _of_head(head + "/", tables), source, task
        ),
        REPORTS,
        _tasks(task),
    )
    return _joined(of_heads, "/")


def scores_of_patients(tables: Mapping[str, list[Row]], info: Info) -> Scores:
    """By name, each with its head's before it."""
    of_heads = Heads("mask", "label").map(
        lambda head, own: own.scores_of_patients(_of_head(head + "/", tables), info),
        REPORTS,
    )
    return _joined(of_heads, " ")


def draw(
    task: Task,
    source: sources.Source,
    scored: Scored,
    rows: dict[str, list[Row]],
    folder: pathlib.Path,
    *,
    predict: Callable[[int], Heads],
    note: str,
    title: str,
) -> None:
    """The figures of both tasks, in a folder for each head."""
    predictors = Heads(
        mask=lambda index: predict(index).mask, label=lambda index: predict(index).label
    )

    def of_head(
        own: ModuleType,
        task: Task,
        scored: Scored,
        predict: Callable,
        head: str,
    ) -> None:
        tables = _of_head(head + "/", rows)
        (folder / head).mkdir(parents=True, exist_ok=True)
        own.draw(
            task, source, scored, tables, folder / head,
            predict=predict, note=note, title=title,
        )  # fmt: skip

    REPORTS.map(
        of_head, _tasks(task), _of_each(scored), predictors, Heads("mask", "label")
    )


def headline(summary: dict[str, float], about: Row) -> tuple[dict[str, str], str]:
    """The scores a reader asks for first of both, and what has to be said below them."""
    found = Heads("mask", "label").map(
        lambda head, own: own.headline(_of_head(head + "_", summary), about), REPORTS
    )
    (masks, of_masks), (labels, of_labels) = found.mask, found.label
    return masks | labels, f"{of_masks}; {of_labels}"


def _tasks(task: Task) -> Heads:
    assert task.heads is not None
    return task.heads


def _of_each(scored: Scored) -> Heads:
    """What each head measured; the loss is of both."""
    own = scored.measured.map(lambda measured: Scored(scored.loss, measured))
    of_mask = own.mask._replace(shapes=scored.shapes, pixels=scored.pixels)
    return dataclasses.replace(own, mask=of_mask)


def _joined(of_heads: Heads, between: str = "_") -> dict[str, Any]:
    """One mapping of both heads', each name with the head's before it."""
    return {
        f"{head}{between}{name}": value
        for head, own in of_heads.items()
        for name, value in own.items()
    }


def _of_head(prefix: str, joined: Mapping[str, Any]) -> dict[str, Any]:
    """What `_joined` had of one head, by its own names."""
    return {
        name.removeprefix(prefix): value
        for name, value in joined.items()
        if name.startswith(prefix)
    }
