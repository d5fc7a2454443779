"""The slices that were predicted with the highest probability, to look at."""

from collections.abc import Sequence

import numpy as np

from brainseg_jax.data import image_files, sources
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports.parts import class_figures
from brainseg_jax.tasks.parts.task import Task

PICTURED = 5  # in each row


def choose(
    decided: Decided, source: sources.Source, task: Task
) -> dict[str, list[class_figures.Judged]]:
    """The slices predicted with the highest probability: correct ones, then errors."""
    right = decided.predicted == decided.label
    rows = {}
    for heading, members in (
        ("Most confident correct predictions of each class", np.flatnonzero(right)),
        ("Most confident errors in each class", np.flatnonzero(~right)),
    ):
        chosen = _varied(decided, source, members)[:PICTURED]
        rows[heading] = judge(decided, source, task, chosen)
    return rows


def judge(
    decided: Decided, source: sources.Source, task: Task, places: Sequence[int]
) -> list[class_figures.Judged]:
    """Slices to draw, with what was said of them."""
    return [
        class_figures.Judged(
            image=_picture(source.read_stored(i)[0]),
            patient=source.patients[i],
            slice=source.slices[i],
            label=task.classes[decided.label[i]],
            predicted=task.classes[decided.predicted[i]],
            probability=float(decided.probability[i, decided.predicted[i]]),
        )
        for i in places
    ]


def _varied(decided: Decided, source: sources.Source, members: np.ndarray) -> list[int]:
    """Most confident first, classes in turn, one slice of a class from each patient."""
    own = decided.probability[np.arange(len(source)), decided.predicted]
    queues: dict[int, list[int]] = {}
    seen = set()
    for i in sorted(members.tolist(), key=lambda i: -own[i]):
        label = int(decided.label[i])
        if (label, source.patients[i]) not in seen:
            seen.add((label, source.patients[i]))
            queues.setdefault(label, []).append(i)
    turns = [(place, label) for label, q in queues.items() for place in range(len(q))]
    return [queues[label][place] for place, label in sorted(turns)]


def _picture(image: np.ndarray) -> np.ndarray:
    """An example in 8 bits; of a volume the middle plane, for nothing is marked."""
    plane = (len(image) // 2,) if image.ndim == 4 else ()
    return image_files.as_8_bits(image[plane])
