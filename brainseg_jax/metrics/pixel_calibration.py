"""Whether probabilities of pixels are right as often, by counts that can be added up.

From the counts of pixel_tallies.py follow the calibration error, the Brier score and the
likelihood at any temperature, as if every pixel had the logit in the middle of its bin.
"""

import math
from collections.abc import Sequence

import numpy as np
import scipy.optimize
from jaxtyping import Float, Int

from brainseg_jax.metrics import calibration, resampling
from brainseg_jax.metrics.calibration import Reliability
from brainseg_jax.metrics.pixel_tallies import MIDDLES

SCORES = ("pixel_ece", "pixel_brier")

Tally = Int[np.ndarray, "2 b"]  # of one class: pixels without it, then those with it


def probability(temperature: float = 1.0) -> Float[np.ndarray, " b"]:
    """Of the bins, once logits are divided by it."""
    return 1 / (1 + np.exp(-MIDDLES / temperature))


def reliability(found: Tally, temperature: float = 1.0) -> Reliability:
    """By the probability of the class, in as many bins as slices have."""
    sure, true, count = _sums(found[None], temperature)
    total = np.where(count > 0, count, np.nan)
    return Reliability(count[0], (sure / total)[0], (true / total)[0])


def expected_error(found: Tally, temperature: float = 1.0) -> float:
    return calibration.expected_error(reliability(found, temperature))


def brier(found: Tally, temperature: float = 1.0) -> float:
    """Mean squared error; nan without pixels."""
    errors, count = _squared_errors(found[None], temperature), int(found.sum())
    return float(errors[0] / count) if count else math.nan


def cross_entropy(found: Tally, temperature: float = 1.0) -> float:
    """Mean over pixels; nan without any."""
    logits, count = MIDDLES / temperature, int(found.sum())
    total = found[1] @ np.logaddexp(0, -logits) + found[0] @ np.logaddexp(0, logits)
    return float(total / count) if count else math.nan


def fit_temperature(found: Tally) -> float:
    """That of the least cross-entropy, within calibration.RANGE."""
    ends = [math.log(end) for end in calibration.RANGE]
    best = scipy.optimize.minimize_scalar(
        lambda logarithm: cross_entropy(found, math.exp(logarithm)),
        bounds=ends,
        method="bounded",
    )
    return math.exp(float(best.x))


def summarise(
    tallies: Int[np.ndarray, "p c 2 b"],
    classes: Sequence[str],
    *,
    temperature: float = 1.0,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """pixel_ece and pixel_brier over all pixels, with intervals over patients.

    With several classes of each, pixel_ece_<class>, and under the plain name their mean.
    """
    drawn = resampling.draws(len(tallies), resamples=resamples, seed=seed)
    found, means = [], []
    for place in range(len(classes)):
        own = tallies[:, place]
        pooled = own.sum(0)
        errors, count = _squared_errors(own, temperature), own.sum((1, 2))
        found.append((expected_error(pooled, temperature), brier(pooled, temperature)))
        sums = _sums(own, temperature)
        means.append(
            (
                resampling.drawn_calibration_error(*sums, drawn),
                resampling.drawn_ratio(errors, count, drawn),
            )
        )
    summary: dict[str, float] = {}
    for number, score in enumerate(SCORES):
        each = [own[number] for own in found]
        ends = [own[number] for own in means]
        named = {score: (float(np.mean(each)), np.mean(ends, 0))}
        if len(classes) > 1:
            pairs = zip(classes, each, ends, strict=True)
            named |= {f"{score}_{name}": (one, own) for name, one, own in pairs}
        for name, (value, spread) in named.items():
            low, high = resampling.interval(spread, level)
            summary |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return summary


def _sums(
    tallies: Int[np.ndarray, "p 2 b"], temperature: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each patient in each bin of reliability: how probable, how often true, number."""
    probs = probability(temperature)
    place = calibration.bins_of(probs, calibration.BINS)
    joined = np.eye(calibration.BINS)[place]
    both = tallies.sum(1)
    return (both * probs) @ joined, tallies[:, 1] @ joined, both @ joined


def _squared_errors(
    tallies: Int[np.ndarray, "p 2 b"], temperature: float
) -> Float[np.ndarray, " p"]:
    """Of each patient, summed over pixels."""
    probs = probability(temperature)
    return tallies[:, 1] @ (1 - probs) ** 2 + tallies[:, 0] @ probs**2
