"""Counts of pixels by their probability, added up by patient while a split is scored."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from brainseg_jax.data.sources import Source
from brainseg_jax.inference import blending
from brainseg_jax.metrics import pixel_tallies
from brainseg_jax.tasks.parts.task import Task

Example = dict[str, np.ndarray]
Count = Callable[[int, np.ndarray], np.ndarray]  # (first plane, slab) -> [c 2 b]


class Pixels(NamedTuple):
    """Of every patient, in the order of the split, and which pixels were counted."""

    tallies: Int[np.ndarray, "p c 2 b"]
    policy: str  # of pixel_tallies.POLICIES


def in_windows(task: Task, policy: str) -> Callable[[Example], Count]:
    """Of an example that is seen in windows: slabs of its probabilities, as they come."""
    count = blending.make_count(task)

    def of(example: Example) -> Count:
        image, mask = example["image"], example["mask"]
        inside = np.ones(mask.shape[:-1], bool)
        if policy == "head":
            inside = pixel_tallies.inside_head(image[None].astype(np.float32))[0]

        def of_slab(start: int, slab: np.ndarray) -> np.ndarray:
            planes = slice(start, start + len(slab))
            return count(slab, mask[planes], inside[planes])

        return of_slab

    return of


class PixelCounts:
    """Grows by an example at a time, and holds no pixels."""

    def __init__(self, source: Source, policy: str):
        names = list(dict.fromkeys(source.patients))
        place_of = {name: place for place, name in enumerate(names)}
        self._owner = [place_of[one] for one in source.patients]
        shape = (len(names), len(source.info.classes), 2, pixel_tallies.BINS)
        self._tallies = np.zeros(shape, np.int64)
        self.policy = policy

    def add(self, place: int, tally: Int[np.ndarray, "c 2 b"]) -> None:
        """Of the example at this place of the split."""
        self._tallies[self._owner[place]] += tally

    @property
    def found(self) -> Pixels:
        return Pixels(self._tallies, self.policy)
