"""How far apart the surfaces of two masks are: HD95, average and normalised distance.

Conventions differ in what a surface is (brainseg_jax/metrics/surfaces.py) and in what the
95th percentile is taken of; no two give the same number for the same masks:

- max_directed: the larger of two percentiles, from truth to prediction and back, of border
  voxels, between neighbouring values linearly: MONAI's.
- pooled: one percentile of both together: medpy's.
- area_weighted: the larger of two, each the first value up to which 95 % of the surface's
  area lies: DeepMind's surface-distance, by which the BraTS challenges of 2023 went.

The average is over both surfaces together (ASSD of Metrics Reloaded), the normalised one
the share of both that lies within a tolerance of the other (NSD, surface Dice). They are
of the surface that the convention has. Distances are computed where JAX computes, only of
the box that holds both masks; percentiles are taken on the host.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from brainseg_jax import parallel
from brainseg_jax.metrics import distance_transform, empty_masks, surfaces

SHARE = 0.95
# Boxes grow to one of these sizes along an axis, at most to the image's own: a function is
# compiled for each shape. Those of slices become squares.
SIZES = (16, 32, 64, 96, 128, 192, 256)
ROUNDING = 1e-6  # of a tolerance: distances are of 32 bits


class Apart(NamedTuple):
    """Of the elements of both surfaces how far the other is, and what each weighs."""

    from_truth: Float[np.ndarray, " a"]
    from_pred: Float[np.ndarray, " b"]
    truth_weights: Float[np.ndarray, " a"]
    pred_weights: Float[np.ndarray, " b"]


class Scores(NamedTuple):
    """Distances in the unit of the spacing."""

    hd95: float
    assd: float
    nsd: float


class Convention(NamedTuple):
    surface: str  # of surfaces.KINDS
    hd95: Callable[[Apart], float]


def score(
    pred: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    spacing: Sequence[float],
    *,
    convention: str,
    tolerance: float,
    empty: str,
) -> Scores:
    """Of one class of one example, by names of CONVENTIONS and of empty_masks.POLICIES.

    Raises:
        ValueError: if the masks differ in shape, or a name is none.
    """
    if convention not in CONVENTIONS:
        raise ValueError(
            f"No convention {convention!r} of surface distances; there are: "
            f"{', '.join(CONVENTIONS)}."
        )
    if pred.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {pred.shape}, the truth {truth.shape}."
        )
    policy, there = empty_masks.policy(empty), (pred.any(), truth.any())
    if not all(there):
        both = not any(there)
        apart = empty_masks.distance(
            empty, both=both, shape=truth.shape, spacing=spacing
        )
        return Scores(apart, apart, policy.overlap if both else 0.0)
    chosen = CONVENTIONS[convention]
    found = between(pred, truth, spacing, chosen.surface)
    return Scores(chosen.hd95(found), average(found), within(found, tolerance))


def between(
    pred: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    spacing: Sequence[float],
    surface: str,
) -> Apart:
    """Distances between the surfaces of two masks that are not empty."""
    table = surfaces.KINDS[surface].weights(spacing)
    pair = _boxed(np.stack([truth, pred]))
    measure = _compiled(surface)
    codes, far = jax.device_get(
        measure(pair, table > 0, np.asarray(spacing, np.float32))
    )
    weights = table[codes]
    on = weights > 0
    return Apart(far[1][on[0]], far[0][on[1]], weights[0][on[0]], weights[1][on[1]])


def max_directed(apart: Apart) -> float:
    return float(
        max(np.quantile(one, SHARE) for one in (apart.from_truth, apart.from_pred))
    )


def pooled(apart: Apart) -> float:
    both = np.concatenate([apart.from_truth, apart.from_pred])
    return float(np.quantile(both, SHARE))


def area_weighted(apart: Apart) -> float:
    return max(
        _reached(apart.from_truth, apart.truth_weights),
        _reached(apart.from_pred, apart.pred_weights),
    )


def average(apart: Apart) -> float:
    """Mean distance over both surfaces together."""
    distances, weights = _joined(apart)
    return float((distances * weights).sum() / weights.sum())


def within(apart: Apart, tolerance: float) -> float:
    """The share of both surfaces within a tolerance of the other: the surface Dice."""
    distances, weights = _joined(apart)
    near = distances <= tolerance * (1 + ROUNDING)
    return float(weights[near].sum() / weights.sum())


CONVENTIONS = {
    "max_directed": Convention("voxels", max_directed),
    "pooled": Convention("voxels", pooled),
    "area_weighted": Convention("elements", area_weighted),
}


def _joined(apart: Apart) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.concatenate([apart.from_truth, apart.from_pred]).astype(float),
        np.concatenate([apart.truth_weights, apart.pred_weights]),
    )


def _reached(
    distances: Float[np.ndarray, " a"], weights: Float[np.ndarray, " a"]
) -> float:
    """The first distance up to which SHARE of all weight lies."""
    order = np.lexsort((weights, distances))
    upto = np.cumsum(weights[order]) / weights.sum()
    place = min(int(np.searchsorted(upto, SHARE)), len(order) - 1)
    return float(distances[order[place]])


def _boxed(pair: Bool[np.ndarray, "2 *space"]) -> Bool[np.ndarray, "2 *box"]:
    """Cut to what either has, then filled up to one of SIZES with nothing."""
    either = pair.any(0)
    axes = range(either.ndim)
    for axis in axes:
        others = tuple(other for other in axes if other != axis)
        places = np.flatnonzero(np.any(either, axis=others))
        pair = pair.take(range(places[0], places[-1] + 1), axis + 1)
    box = pair.shape[1:]
    wanted = (max(box),) * 2 if len(box) == 2 else box
    ends = [
        (0, min(_grown(size), whole) - own)
        for size, whole, own in zip(wanted, either.shape, box, strict=True)
    ]
    return np.pad(pair, [(0, 0), *ends])


def _grown(size: int) -> float:
    return next((one for one in SIZES if one >= size), math.inf)


@functools.cache
def _compiled(surface: str) -> Callable:
    return parallel.on_one_device(functools.partial(_measure, surface=surface))


def _measure(
    pair: Bool[Array, "2 *box"],
    there: Bool[Array, " codes"],
    spacing: Float[Array, " d"],
    *,
    surface: str,
) -> tuple[Array, Array]:
    """Codes of both surfaces, and at every place the distance to each."""
    codes = surfaces.KINDS[surface].encode(pair, len(spacing))
    return codes, distance_transform.distances(jnp.take(there, codes), spacing)
