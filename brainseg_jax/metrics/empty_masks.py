"""What masks score that have nothing in them, by the name of a policy.

`one`, `zero` and `nan` are named after the Dice of two empty masks. The others are those of
the BraTS challenges; two empty masks of 2026 are left out of every mean.

Where only one mask is empty, overlap is 0 under every policy and so is the surface Dice.
Distances there are what the policy names, in the unit of the spacing: the length of the
whole image's diagonal (FAR), or the challenge's own number, which is meant in mm: of 240 x
240 x 155 voxels of 1 mm the diagonal is 373.13.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

FAR = math.inf


class Policy(NamedTuple):
    """What stands for a score that two masks do not have."""

    overlap: float  # of two empty masks
    distance: float  # of two empty masks
    one_sided: float  # a distance where only one mask is empty


POLICIES = {
    "one": Policy(1.0, 0.0, FAR),
    "zero": Policy(0.0, FAR, FAR),
    "nan": Policy(math.nan, math.nan, math.nan),
    "brats2021": Policy(1.0, 0.0, 373.13),
    "brats2023": Policy(1.0, 0.0, 374.0),
    "brats2026": Policy(math.nan, math.nan, 373.0),
}


def policy(name: str) -> Policy:
    """Raises ValueError for a name that is none, with those there are."""
    if name not in POLICIES:
        raise ValueError(
            f"No policy {name!r} for empty masks; there are: {', '.join(POLICIES)}."
        )
    return POLICIES[name]


def distance(
    name: str, *, both: bool, shape: Sequence[int], spacing: Sequence[float]
) -> float:
    """Between two masks of which one is empty, or `both`."""
    chosen = policy(name)
    value = chosen.distance if both else chosen.one_sided
    if value != FAR:
        return value
    return math.hypot(*(n * step for n, step in zip(shape, spacing, strict=True)))
