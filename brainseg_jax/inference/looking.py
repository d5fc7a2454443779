"""Looks at each example's masks while a split is scored, for what counts do not tell."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from brainseg_jax.data.sources import Source
from brainseg_jax.inference import stacks
from brainseg_jax.inference.stacks import Stacks
from brainseg_jax.metrics import mask_shapes
from brainseg_jax.metrics.mask_shapes import Measured, Shapes
from brainseg_jax.models.parts.heads import Heads

Score = Callable[
    [int, Bool[np.ndarray, "*space c"], UInt8[np.ndarray, "*space 1"]],
    dict[str, np.ndarray],
]


class Look(NamedTuple):
    """(place in the split, where each class is predicted, stored mask) -> its scores."""

    score: Score
    measured: Measured
    stacks: Stacks | None = None  # of patients' slices, which `score` gives them


def make_look(source: Source, *, convention: str, tolerance: float, empty: str) -> Look:
    """Surface distances and, of volumes, lesions, in mm where all spacings are known.

    So are slices that stack to volumes, of each patient together, too.
    """
    spacings, unit = spacings_of(source)
    stacked = stacks.can_stack(source)
    means = mask_shapes.MEANS[source.info.dimensions]
    of_patient = mask_shapes.STACKED if stacked else means
    measured = Measured(convention, tolerance, unit, empty, of_patient)
    stack = Stacks(source, measured) if stacked else None
    members = source.info.members

    def score(place: int, marks: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        truth = where(mask, members)
        if stack:
            stack.add(place, marks, truth)
        return mask_shapes.score(marks, truth, spacings[place], measured)

    return Look(score, measured, stack)


def spacings_of(source: Source) -> tuple[Sequence[tuple[float, ...]], str]:
    """Of each example, and the unit: one for all, else their mean would be of neither.

    Of slices that of rows and columns: how far apart slices are comes before it.
    """
    dimensions = source.info.dimensions
    if len(source.spacings) and np.isfinite(np.array(source.spacings)).all():
        return [one[-dimensions:] for one in source.spacings], "mm"
    ones = (1.0,) * dimensions
    return [ones] * len(source), "voxels" if dimensions == 3 else "pixels"


def where(
    labels: UInt8[np.ndarray, "*space 1"], members: Sequence[Sequence[int]]
) -> Bool[np.ndarray, "*space c"]:
    """Where each class is, of which these are the labels."""
    return np.concatenate([np.isin(labels, list(own)) for own in members], -1)


def of_masks(marks: Any) -> np.ndarray:
    """What a task marked; of two heads the masks'."""
    return marks.mask if isinstance(marks, Heads) else marks


def in_order(
    seen: Mapping[int, Mapping[str, np.ndarray]], look: Look | None
) -> Shapes | None:
    """What was seen of every example, by their places; None if nobody looked."""
    if look is None:
        return None
    each = [seen[place] for place in sorted(seen)]
    values = {name: np.stack([own[name] for own in each]) for name in each[0]}
    stacked = look.stacks.scores if look.stacks else None
    return Shapes(values, look.measured, stacked)
