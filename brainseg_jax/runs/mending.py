"""What a card changes of predictions: threshold and small parts of masks, temperature."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from brainseg_jax.inference import post_processing
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import restore
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.restore import Restored
from brainseg_jax.tasks.parts.task import Task

Labels = UInt8[np.ndarray, "*space 1"]


def as_chosen(restored: Restored, card: Card | None) -> Restored:
    """The model, marking above the threshold that its card has, if it has one."""
    if card is None or card.threshold is None:
        return restored
    return at_threshold(restored, card.threshold)


def at_threshold(restored: Restored, threshold: float) -> Restored:
    """The same model, whose classes are marked above another probability."""
    about = restored.record.about
    config = dict(about.config)
    config["evaluation"] = {**config["evaluation"], "threshold": threshold}
    about = dataclasses.replace(about, config=config)
    return restored._replace(
        record=restored.record._replace(about=about),
        parts=restored.parts._replace(task=restore.rebuild_parts(about).task),
    )


def mend(labels: Sequence[Labels], rules: Rules) -> list[Labels]:
    """One patient's examples: volumes each by itself, slices together."""
    if labels[0].ndim == 4:
        return [post_processing.apply(one, rules) for one in labels]
    mended = list(labels)
    for shape in dict.fromkeys(one.shape for one in labels):
        own = [k for k, one in enumerate(labels) if one.shape == shape]
        stack = np.stack([labels[k] for k in own])
        for k, one in zip(
            own, post_processing.apply_to_slices(stack, rules), strict=True
        ):
            mended[k] = one
    return mended


def is_exclusive(task: Task) -> bool:
    """Two classes have one logit either way."""
    return task.exclusive or len(task.classes) == 2
