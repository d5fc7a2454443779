"""Masks of a split, patient by patient, in the order of the split."""

import itertools
from collections.abc import Iterator

from brainseg_jax.data.sources import Source
from brainseg_jax.runs import predictor
from brainseg_jax.runs.mending import Labels
from brainseg_jax.runs.restore import Restored


def by_patient(
    restored: Restored, source: Source
) -> Iterator[tuple[list[Labels], list[Labels]]]:
    """Predicted and true labels of every patient's examples."""
    label = predictor.make_labeller(restored)
    for _, members in itertools.groupby(
        range(len(source)), source.patients.__getitem__
    ):
        pairs = [(place, *source.seen(place)) for place in members]
        predicted = [label(image, source.scaling[place]) for place, image, _ in pairs]
        yield predicted, [mask for _, _, mask in pairs]
