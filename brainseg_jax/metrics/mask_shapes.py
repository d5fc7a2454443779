"""Scores of a mask that counts do not tell: distances between surfaces, and lesions.

They need whole masks, so they are computed one example at a time, where it is scored.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from brainseg_jax.metrics import lesions, surface_distances
from brainseg_jax.metrics.overlap import Counts

DISTANCES = surface_distances.Scores._fields
APART = DISTANCES[:2]  # the others are shares
LESIONS = ("lesion_dice", "lesion_f1")  # of volumes alone
FATES = ("found", "missed", "false")
# How many there are: of volumes lesions, of slices parts that touch, however small.
OF_LESIONS, OF_PARTS = (
    tuple(f"{what}_{fate}" for fate in FATES) for what in ("lesions", "parts")
)
COUNTED = OF_LESIONS + OF_PARTS
OF_PATIENT = "distances_of_patient"  # what a patient's are: one of MEANS, or STACKED
MEANS = {2: "mean over slices", 3: "mean over volumes"}
STACKED = "of its stacked slices"


class Measured(NamedTuple):
    """How distances were taken: what every table of them says."""

    convention: str  # of surface_distances.CONVENTIONS
    tolerance: float
    unit: str  # mm, or pixels or voxels where no spacing is known
    empty: str
    of_patient: str = MEANS[2]  # or another of MEANS, or STACKED


class Shapes(NamedTuple):
    """Of every example of a split, and how it was measured."""

    values: Mapping[str, Float[np.ndarray, "n c"]]
    measured: Measured
    # Of patients in the order of the split, where their slices were stacked
    stacked: Mapping[str, Float[np.ndarray, "p c"]] | None = None


def score(
    pred: Bool[np.ndarray, "*space c"],
    truth: Bool[np.ndarray, "*space c"],
    spacing: Sequence[float],
    measured: Measured,
) -> dict[str, Float[np.ndarray, " c"]]:
    """Of each class of one example: DISTANCES, LESIONS of a volume, and what is COUNTED."""
    each = [
        _of_class(pred[..., place], truth[..., place], spacing, measured)
        for place in range(truth.shape[-1])
    ]
    return {name: np.array([own[name] for own in each]) for name in each[0]}


def of_groups(
    shapes: Shapes, counts: Counts, members: Sequence[Sequence[int]]
) -> Shapes:
    """Means over the examples of each group, such as a patient's slices; sums of COUNTED.

    Distances are over those in which truth and prediction both have the class, the other
    scores over those in which either has it. Of a group without such examples the policy of
    empty masks counts: where one mask is empty in all of them, or both.
    """
    hits, wrong, missed, _ = (np.asarray(part) for part in counts)
    true, found = hits + missed > 0, hits + wrong > 0
    everything = np.ones_like(true)
    orders = {name: (true & found, true | found, everything) for name in APART}

    def joined(name: str, own: np.ndarray, group: Sequence[int]) -> np.ndarray:
        if name in COUNTED:
            return own[list(group)].sum(0)
        order = orders.get(name, (true | found, everything))
        return _mean_of_first(own[list(group)], order, group)

    values = {
        name: np.stack([joined(name, own, group) for group in members])
        for name, own in shapes.values.items()
    }
    return shapes._replace(values=values)


def _mean_of_first(
    values: Float[np.ndarray, "m c"],
    orders: Sequence[Bool[np.ndarray, "n c"]],
    group: Sequence[int],
) -> Float[np.ndarray, " c"]:
    """Of each class over those of a group that are in the first choice with any."""
    counted = np.zeros(values.shape, bool)
    for choice in orders:
        counted |= choice[list(group)] & ~counted.any(0)
    known = counted & ~np.isnan(values)
    count = known.sum(0)
    total = np.where(known, values, 0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _of_class(
    pred: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    spacing: Sequence[float],
    measured: Measured,
) -> dict[str, float]:
    found = surface_distances.score(
        pred,
        truth,
        spacing,
        convention=measured.convention,
        tolerance=measured.tolerance,
        empty=measured.empty,
    )._asdict()
    if truth.ndim == 3:
        voxel = float(np.prod(spacing))
        own = lesions.score(pred, truth, voxel, empty=measured.empty)
        return found | dict(zip(LESIONS + OF_LESIONS, own, strict=True))
    parts = lesions.score(pred, truth, 1.0, empty=measured.empty, grown=0, least=0)
    return found | dict(zip(OF_PARTS, parts[2:], strict=True))
