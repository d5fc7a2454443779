"""Masks of a split as post-processing leaves them, in the order of the split."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8

from brainseg_jax.data.sources import Source
from brainseg_jax.inference import post_processing
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import predictor, restore
from brainseg_jax.runs.restore import Restored

Labels = UInt8[np.ndarray, "*space 1"]


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


def by_patient(
    restored: Restored, source: Source
) -> Iterator[tuple[list[Labels], list[Labels]]]:
    """Predicted and true labels of every patient's examples."""
    label = predictor.make_labeller(restored)
    for _, members in itertools.groupby(
        range(len(source)), source.patients.__getitem__
    ):
        pairs = [(place, *source.read_stored(place)) for place in members]
        predicted = [label(image, source.scaling[place]) for place, image, _ in pairs]
        yield predicted, [mask for _, _, mask in pairs]


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
