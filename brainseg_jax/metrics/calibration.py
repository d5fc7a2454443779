"""Whether what is said to be probable is right as often: errors, and how to mend them.

A temperature T divides the logits: above 1 it makes probabilities less sure. It changes no
class that is the most probable one, and no ranking. It is fitted on validation data, by the
least cross-entropy (Guo et al. 2017).
"""

import math
from typing import NamedTuple

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float, Int

from brainseg_jax.metrics.decisions import Decided

BINS = 15  # of equal width, as Guo et al. have them
LEAST = 1e-7  # probabilities are kept off 0 and 1 by so much, as 32 bits do
RANGE = (0.05, 20.0)  # of temperatures
EDGE = 1e-3  # of the logarithm: a fit that ends so near to an end of RANGE is at it


class Reliability(NamedTuple):
    """Of the predictions in each bin of confidence: how many, how sure, how often right."""

    examples: Float[np.ndarray, " b"]
    confidence: Float[np.ndarray, " b"]  # means; nan of none
    accuracy: Float[np.ndarray, " b"]


def reliability(decided: Decided, bins: int = BINS) -> Reliability:
    """By the probability of the class that is predicted."""
    return binned(*_sure_and_right(decided), bins)


def sums_of_patients(
    decided: Decided, owner: Int[np.ndarray, " n"], patients: int, bins: int = BINS
) -> tuple[
    Float[np.ndarray, "p b"], Float[np.ndarray, "p b"], Float[np.ndarray, "p b"]
]:
    """Of each one's predictions in each bin: how sure and how often right, and how many.

    `owner` numbers patients; means of reliability are sums over sums.
    """
    confidence, right = _sure_and_right(decided)
    place = owner * bins + bins_of(confidence, bins)
    sure, hits, count = (
        np.bincount(place, weights, patients * bins).reshape(patients, bins)
        for weights in (confidence, right, None)
    )
    return sure, hits, count.astype(float)


def _sure_and_right(
    decided: Decided,
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    probability = np.asarray(decided.probability, float)
    predicted = np.asarray(decided.predicted)
    confidence = probability[np.arange(len(predicted)), predicted]
    return confidence, predicted == np.asarray(decided.label)


def binned(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], bins: int = BINS
) -> Reliability:
    """Bins hold their upper end, and the first 0 too."""
    place = bins_of(confidence, bins)
    count, sure, hits = (
        np.bincount(place, weights, bins) for weights in (None, confidence, right)
    )
    total = np.where(count > 0, count, np.nan)
    return Reliability(count.astype(float), sure / total, hits / total)


def bins_of(confidence: Float[np.ndarray, " n"], bins: int) -> Int[np.ndarray, " n"]:
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def expected_error(found: Reliability) -> float:
    """ECE: how far confidence and accuracy lie apart, on average over predictions."""
    if not found.examples.sum():
        return math.nan
    apart = np.nan_to_num(abs(found.confidence - found.accuracy))
    return float((found.examples * apart).sum() / found.examples.sum())


def brier(decided: Decided) -> float:
    """Mean of the squared errors."""
    of_each = squared_errors(decided)
    return float(of_each.mean()) if len(of_each) else math.nan


def squared_errors(decided: Decided) -> Float[np.ndarray, " n"]:
    """Of each one's probabilities, summed over classes; of two, of the second."""
    truth = np.eye(decided.probability.shape[1])[np.asarray(decided.label)]
    errors = (np.asarray(decided.probability, float) - truth) ** 2
    return errors[:, 1] if errors.shape[1] == 2 else errors.sum(1)


def with_temperature(
    probability: Float[np.ndarray, "n c"], temperature: float, *, exclusive: bool
) -> Float[np.ndarray, "n c"]:
    """As if the logits had been divided by it; `exclusive` classes share a softmax."""
    probability = np.clip(np.asarray(probability, float), LEAST, 1 - LEAST)
    if exclusive:
        raised = probability ** (1 / temperature)
        return raised / raised.sum(-1, keepdims=True)
    logits = np.log(probability) - np.log1p(-probability)
    return 1 / (1 + np.exp(-logits / temperature))


def fit_temperature(decided: Decided, *, exclusive: bool) -> float:
    """That of the least cross-entropy, within RANGE."""

    def loss(logarithm: float) -> float:
        return cross_entropy(
            decided, temperature=math.exp(logarithm), exclusive=exclusive
        )

    ends = [math.log(end) for end in RANGE]
    found = scipy.optimize.minimize_scalar(loss, bounds=ends, method="bounded")
    return math.exp(float(found.x))


def at_edge(temperature: float) -> bool:
    """Whether a fit ended at an end of RANGE: beyond it the truth is likelier still.

    Then no temperature within is the best. At the upper end predictions tell nothing of
    the truth, at the lower end all are right, and being surer costs nothing.
    """
    low, high = (math.log(end) for end in RANGE)
    return not low + EDGE < math.log(temperature) < high - EDGE


def cross_entropy(decided: Decided, *, temperature: float, exclusive: bool) -> float:
    """Mean over examples; of sigmoids that of all classes together."""
    moved = with_temperature(decided.probability, temperature, exclusive=exclusive)
    moved = np.clip(moved, LEAST, 1 - LEAST)
    truth = np.eye(moved.shape[1])[np.asarray(decided.label)]
    of_each = truth * np.log(moved)
    if not exclusive:
        of_each += (1 - truth) * np.log1p(-moved)
    return float(-of_each.sum(1).mean())
