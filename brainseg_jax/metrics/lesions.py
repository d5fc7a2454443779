"""Scores of each lesion by itself, as the BraTS challenge has them since 2023.

Parts of the truth, touching at a corner too, are one lesion where they meet once each has
grown by three voxels (in the directions of faces and edges): specks of one tumour are not
scored one by one. A predicted part belongs to every lesion whose grown form it reaches.
A lesion's Dice is with all parts that belong to it; lesions of 50 mm³ or less are not
counted, neither as found nor as missed. The score of a volume is the sum over its lesions
over the number of lesions and of predicted parts that belong to none. After `metrics.py` of
https://github.com/rachitsaluja/BraTS-2023-Metrics, whose numbers are of adult gliomas.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage

from brainseg_jax.metrics import empty_masks

GROWN = 3  # voxels
LEAST = 50.0  # mm³, that a lesion has to exceed


class Lesions(NamedTuple):
    """Of one class of one volume."""

    dice: float
    f1: float
    found: int
    missed: int
    invented: int


def score(
    pred: Bool[np.ndarray, "*space"],
    truth: Bool[np.ndarray, "*space"],
    voxel: float,
    *,
    empty: str,
    grown: int = GROWN,
    least: float = LEAST,
) -> Lesions:
    """`voxel` is the volume of one; `empty` scores masks without lesion or false part."""
    policy = empty_masks.policy(empty)
    pred, truth = _boxed(pred, truth, grown)
    corners = np.ones((3,) * truth.ndim)
    reach = truth
    if grown and truth.any():
        edges = ndimage.generate_binary_structure(truth.ndim, 2)
        reach = ndimage.binary_dilation(truth, edges, iterations=grown)
    reached, count = ndimage.label(reach, corners)
    parts, others = ndimage.label(pred, corners)
    belongs = _pairs(reached, parts, count, others)[1:, 1:] > 0
    hits = _pairs(reached * truth, parts, count, others)[1:, 1:]
    size = np.bincount((reached * truth).reshape(-1), minlength=count + 1)[1:]
    of_part = np.bincount(parts.reshape(-1), minlength=others + 1)[1:]
    overlap = (hits * belongs).sum(1)
    dice = 2 * overlap / np.maximum(size + belongs @ of_part, 1)
    large = size * voxel > least
    found = int((large & belongs.any(1)).sum())
    invented = int((~belongs.any(0)).sum())
    missed = int(large.sum()) - found
    if not found + missed + invented:
        return Lesions(policy.overlap, policy.overlap, 0, 0, 0)
    return Lesions(
        dice=float(dice[large].sum() / (found + missed + invented)),
        f1=2 * found / (2 * found + missed + invented),
        found=found,
        missed=missed,
        invented=invented,
    )


def _pairs(
    rows: Int[np.ndarray, "*space"],
    columns: Int[np.ndarray, "*space"],
    count: int,
    others: int,
) -> Int[np.ndarray, "r c"]:
    """How often each number of the one lies on each of the other."""
    places = rows.reshape(-1).astype(np.int64) * (others + 1) + columns.reshape(-1)
    size = (count + 1) * (others + 1)
    return np.bincount(places, minlength=size).reshape(count + 1, others + 1)


def _boxed(
    pred: Bool[np.ndarray, "*space"], truth: Bool[np.ndarray, "*space"], margin: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both cut to what either has and a margin, as far as the image goes."""
    boxes = ndimage.find_objects((pred | truth).astype(np.uint8))
    found = boxes[0] if boxes else (slice(0, 1),) * truth.ndim
    box = tuple(slice(max(one.start - margin, 0), one.stop + margin) for one in found)
    return pred[box], truth[box]
