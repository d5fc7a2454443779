"""A patient's slices as one volume, scored when the last of them has come.

Only where it is known how far apart slices and pixels are, and where no slice is missing.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from brainseg_jax.data.sources import Source
from brainseg_jax.metrics import mask_shapes
from brainseg_jax.metrics.mask_shapes import Measured

Marks = Bool[np.ndarray, "h w c"]


def can_stack(source: Source) -> bool:
    """Whether each patient's slices are a volume: spacing, one size, every number once."""
    if source.info.dimensions != 2 or not len(source.spacings):
        return False
    return all(_is_volume(source, own) for own in members(source).values())


def members(source: Source) -> dict[str, list[int]]:
    """Places of each patient's slices in the split, by their numbers."""
    found: dict[str, list[int]] = {}
    for place, patient in enumerate(source.patients):
        found.setdefault(patient, []).append(place)
    return {
        patient: sorted(own, key=source.slices.__getitem__)
        for patient, own in found.items()
    }


class Stacks:
    """Grows by a slice at a time; a patient's masks are forgotten once they are scored."""

    def __init__(self, source: Source, measured: Measured):
        self._source, self._measured = source, measured
        self._members = members(source)
        self._waiting: dict[str, dict[int, tuple[Marks, Marks]]] = {}
        self._scores: dict[str, Mapping[str, np.ndarray]] = {}

    def add(self, place: int, marks: Marks, truth: Marks) -> None:
        patient = self._source.patients[place]
        waiting = self._waiting.setdefault(patient, {})
        waiting[place] = marks, truth
        own = self._members[patient]
        if len(waiting) == len(own):
            pairs = [self._waiting[patient][one] for one in own]
            pred, true = (np.stack(parts) for parts in zip(*pairs, strict=True))
            spacing = self._source.spacings[own[0]]
            self._scores[patient] = mask_shapes.score(
                pred, true, spacing, self._measured
            )
            del self._waiting[patient]

    @property
    def scores(self) -> dict[str, np.ndarray]:
        """Of all patients, [p, c] each, in the order of the split."""
        each = [self._scores[patient] for patient in self._members]
        return {name: np.stack([one[name] for one in each]) for name in each[0]}


def _is_volume(source: Source, own: list[int]) -> bool:
    numbers = [source.slices[place] for place in own]
    return (
        len({source.shapes[place] for place in own}) == 1
        and len({source.spacings[place] for place in own}) == 1
        and numbers == list(range(numbers[0], numbers[0] + len(own)))
    )
