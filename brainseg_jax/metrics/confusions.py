"""The confusion matrix, and the scores that follow from it.

What is undefined is nan, which every mean leaves out:

- Recall of a class without examples; balanced accuracy without examples of at least two
  classes.
- Precision and F1 of a class that has no examples and is never predicted. A class with
  examples that is never predicted has precision 0, as in brainseg_jax/metrics/overlap.py.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float

from brainseg_jax.metrics.decisions import Decided

Matrix = Float[np.ndarray, "c c"]  # rows: the label; columns: what was predicted
Matrices = Float[np.ndarray, "*draws c c"]  # one, or one for each draw of patients
Values = Float[np.ndarray, "*draws c"]


def confusion(
    decided: Decided, weights: Float[np.ndarray, " n"] | None = None
) -> Matrix:
    """The confusion matrix: slices, or their weights, by label and predicted class."""
    count = decided.probability.shape[1]
    matrix = np.zeros((count, count))
    np.add.at(
        matrix, (decided.label, decided.predicted), 1 if weights is None else weights
    )
    return matrix


def patient_weights(patients: Sequence[Hashable]) -> Float[np.ndarray, " n"]:
    """1 / the number of slices of the patient, so that every patient counts once."""
    counts = {name: 0 for name in patients}
    for name in patients:
        counts[name] += 1
    return np.array([1 / counts[name] for name in patients])


def accuracy(matrix: Matrices) -> Float[np.ndarray, "*draws"]:
    return ratio(_right(matrix).sum(-1), matrix.sum((-2, -1)))


def recall(matrix: Matrices) -> Values:
    """Of the slices of each class, the share predicted as it: sensitivity."""
    return ratio(_right(matrix), matrix.sum(-1))


def precision(matrix: Matrices) -> Values:
    """Of the slices predicted as each class, the share that has it."""
    there = matrix.sum(-1) > 0
    found = ratio(_right(matrix), matrix.sum(-2))
    return np.where(np.isnan(found) & there, 0.0, found)


def f1(matrix: Matrices) -> Values:
    return ratio(2 * _right(matrix), matrix.sum(-2) + matrix.sum(-1))


def balanced_accuracy(matrix: Matrices) -> Float[np.ndarray, "*draws"]:
    """Mean recall of the classes that have examples."""
    known = (matrix.sum(-1) > 0).sum(-1)
    return np.where(known > 1, mean(recall(matrix)), math.nan)


def mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is known there."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0).sum(-1), known.sum(-1))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean by the number of examples; classes without any weigh nothing."""
    return ratio((np.where(weights > 0, values, 0) * weights).sum(-1), weights.sum(-1))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), math.nan)


def _right(matrix: Matrices) -> Values:
    return np.diagonal(matrix, axis1=-2, axis2=-1)
