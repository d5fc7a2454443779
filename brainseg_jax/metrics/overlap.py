"""Overlap metrics from pixel counts, per example and class, never smoothed.

Counts are made on the device (`counts`), the ratios from them there or in numpy: each
takes either kind of array. Dice is 2 TP / (2 TP + FP + FN), and so on. Where the
denominator is 0 there are two cases:

- Both masks are empty (for specificity: neither has background). The ratio is what the
  policy `empty` of brainseg_jax/metrics/empty_masks.py says: 1, 0, or nan, which every
  mean and interval leaves out. Another name is a ValueError.
- Only one of the masks is empty (precision of a missed tumour, recall where there is none).
  The ratio is 0 under every policy.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from brainseg_jax.metrics import empty_masks

AnyArray = Any  # of jax or of numpy; a union would need a check at every use

EMPTY = {name: policy.overlap for name, policy in empty_masks.POLICIES.items()}


class Counts(NamedTuple):
    """Pixels (voxels) per example and class; their sum is the size of the image."""

    true_positives: Int[AnyArray, "n c"]
    false_positives: Int[AnyArray, "n c"]
    false_negatives: Int[AnyArray, "n c"]
    true_negatives: Int[AnyArray, "n c"]


def counts(
    pred: Bool[AnyArray, "n *space c"], truth: Bool[AnyArray, "n *space c"]
) -> Counts:
    """Counts in 32-bit integers: exact for volumes of up to 2 ** 31 voxels.

    Raises:
        ValueError: if the two masks differ in shape.
    """
    if pred.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {pred.shape}, the truth {truth.shape}; resize the "
            "probabilities to the mask's size before the threshold."
        )
    pred, truth = jnp.asarray(pred, bool), jnp.asarray(truth, bool)
    space = tuple(range(1, pred.ndim - 1))

    def size(mask):
        return mask.sum(space, dtype=jnp.int32)

    return Counts(
        true_positives=size(pred & truth),
        false_positives=size(pred & ~truth),
        false_negatives=size(~pred & truth),
        true_negatives=size(~pred & ~truth),
    )


def label_table(
    pred: UInt8[np.ndarray, "*space 1"], truth: UInt8[np.ndarray, "*space 1"]
) -> Int[np.ndarray, "256 256"]:
    """How often each label of a truth (row) is predicted as each (column).

    Raises:
        ValueError: if the two masks differ in shape.
    """
    if pred.shape != truth.shape:
        raise ValueError(
            f"The prediction has shape {pred.shape}, the truth {truth.shape}."
        )
    pairs = truth.reshape(-1).astype(np.uint16) * 256 + pred.reshape(-1)
    return np.bincount(pairs, minlength=256**2).reshape(256, 256)


def counts_of_labels(
    table: Int[np.ndarray, "256 256"], members: Sequence[Sequence[int]]
) -> Counts:
    """Counts [1, c] of one example's label_table, for classes of these labels."""
    inside = np.zeros((len(members), 256), bool)
    for place, labels in enumerate(members):
        inside[place, list(labels)] = True
    hits = np.array([table[one][:, one].sum() for one in inside])
    true, found = (table.sum(axis) @ inside.T for axis in (1, 0))
    wrong, missed = found - hits, true - hits
    rest = table.sum() - hits - wrong - missed
    return Counts(*(part[None] for part in (hits, wrong, missed, rest)))


def dice(counts: Counts, *, empty: str) -> Float[AnyArray, "n c"]:
    return tversky(counts, alpha=0.5, beta=0.5, empty=empty)


def iou(counts: Counts, *, empty: str) -> Float[AnyArray, "n c"]:
    return tversky(counts, alpha=1, beta=1, empty=empty)


def tversky(
    counts: Counts, *, alpha: float, beta: float, empty: str
) -> Float[AnyArray, "n c"]:
    """Alpha weighs false positives, beta false negatives, as in losses/tversky.py."""
    hits = counts.true_positives
    wrong = alpha * counts.false_positives + beta * counts.false_negatives
    return _ratio(hits, hits + wrong, _both_empty(counts), empty)


def precision(counts: Counts, *, empty: str) -> Float[AnyArray, "n c"]:
    """Of the predicted pixels, the share that is true."""
    hits = counts.true_positives
    return _ratio(hits, hits + counts.false_positives, _both_empty(counts), empty)


def recall(counts: Counts, *, empty: str) -> Float[AnyArray, "n c"]:
    """Of the true pixels, the share that is predicted: sensitivity."""
    hits = counts.true_positives
    return _ratio(hits, hits + counts.false_negatives, _both_empty(counts), empty)


def specificity(counts: Counts, *, empty: str) -> Float[AnyArray, "n c"]:
    """Recall of the background."""
    return recall(
        Counts(
            true_positives=counts.true_negatives,
            false_positives=counts.false_negatives,
            false_negatives=counts.false_positives,
            true_negatives=counts.true_positives,
        ),
        empty=empty,
    )


def accuracy(counts: Counts) -> Float[AnyArray, "n c"]:
    """The share of correct pixels; high for any small tumour, even where it is missed."""
    return (counts.true_positives + counts.true_negatives) / sum(counts)


def volume_difference(counts: Counts) -> Float[np.ndarray, "n c"]:
    """What is predicted more than there is, as a share of what is; below 0: less.

    0 of two empty masks, nan where only the truth is empty, whatever the policy.
    """
    tp, fp, fn, _ = (np.asarray(part) for part in counts)
    true, found = tp + fn, tp + fp
    share = (found - true) / np.where(true == 0, 1, true)
    return np.where((true == 0) & (found > 0), math.nan, share)


def _both_empty(counts: Counts) -> Bool[AnyArray, "n c"]:
    tp, fp, fn, _ = counts
    return (tp == 0) & (fp == 0) & (fn == 0)


def _ratio(numerator, denominator, both_empty, empty: str):
    """numerator / denominator; for a zero denominator see the head of this file."""
    value = empty_masks.policy(empty).overlap
    numpy = numerator.__array_namespace__()
    ratio = numerator / numpy.where(denominator == 0, 1, denominator)
    return numpy.where(both_empty, value, ratio)
