"""Patients drawn with replacement, to know how far a score of all their slices may be off.

Each draw weighs a patient by how often it came; counts and ROC-AUC follow from sums over
patients and pairs of patients, so that thousands of draws are a few products of matrices.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

BLOCK = 2_000_000  # numbers of draws that are held at a time
RESAMPLES = 2000  # of mean_with_interval


def draws(patients: int, *, resamples: int, seed: int) -> Int[np.ndarray, "r p"]:
    """How often each patient comes in each draw of as many.

    Of fewer than two there is no draw: one patient does not say how far patients spread.
    """
    if patients < 2:
        return np.zeros((0, patients), int)
    rng = np.random.default_rng(seed)
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=resamples)


def drawn_matrices(
    matrices: Float[np.ndarray, "p c c"], drawn: Int[np.ndarray, "r p"]
) -> Float[np.ndarray, "r c c"]:
    """The confusion matrix of every draw, from each patient's own."""
    return np.tensordot(drawn.astype(float), matrices, axes=1)


def drawn_auc(
    score: Float[np.ndarray, " n"],
    positive: Bool[np.ndarray, " n"],
    owner: Int[np.ndarray, " n"],
    drawn: Int[np.ndarray, "r p"],
) -> Float[np.ndarray, " r"]:
    """ROC-AUC of every draw; nan without examples of both. `owner` numbers patients."""
    patients, weights = drawn.shape[1], drawn.astype(float)
    hits = weights @ np.bincount(owner[positive], minlength=patients)
    others = weights @ np.bincount(owner[~positive], minlength=patients)
    won = ((weights @ _wins(score, positive, owner, patients)) * weights).sum(1)
    pairs = hits * others
    return np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), np.nan)


def drawn_means(
    values: Float[np.ndarray, " n"],
    owner: Int[np.ndarray, " n"],
    drawn: Int[np.ndarray, "r p"],
) -> Float[np.ndarray, " r"]:
    """The mean in every draw of what is not nan; nan if that is nothing."""
    known, patients = ~np.isnan(values), drawn.shape[1]
    weights = drawn.astype(float)  # products of whole numbers are slower
    count = weights @ np.bincount(owner[known], minlength=patients)
    total = weights @ np.bincount(owner[known], values[known], minlength=patients)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def drawn_average_precision(
    score: Float[np.ndarray, " n"],
    positive: Bool[np.ndarray, " n"],
    owner: Int[np.ndarray, " n"],
    drawn: Int[np.ndarray, "r p"],
) -> Float[np.ndarray, " r"]:
    """Average precision of every draw; nan without positives. `owner` numbers patients."""
    order = np.argsort(-score, kind="stable")
    score, positive, owner = score[order], positive[order], owner[order]
    # Those of one score are found together.
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    found = []
    for start in range(0, len(drawn), max(1, BLOCK // len(score))):
        weights = drawn[start : start + max(1, BLOCK // len(score)), owner].astype(
            float
        )
        seen = weights.cumsum(1)[:, last]
        hits = (weights * positive).cumsum(1)[:, last]
        right = np.diff(hits, prepend=0, axis=1) * hits / np.maximum(seen, 1)
        count = hits[:, -1]
        found.append(np.where(count > 0, right.sum(1) / np.maximum(count, 1), np.nan))
    return np.concatenate(found) if found else np.zeros(0)


def drawn_calibration_error(
    confidence: Float[np.ndarray, "p b"],
    right: Float[np.ndarray, "p b"],
    examples: Float[np.ndarray, "p b"],
    drawn: Int[np.ndarray, "r p"],
) -> Float[np.ndarray, " r"]:
    """ECE of every draw, from each patient's sums in each bin; nan without examples."""
    weights = drawn.astype(float)
    apart = abs(weights @ (confidence - right)).sum(1)
    count = (weights @ examples).sum(1)
    return np.where(count > 0, apart / np.where(count > 0, count, 1), np.nan)


def drawn_ratio(
    sums: Float[np.ndarray, " p"],
    counts: Int[np.ndarray, " p"],
    drawn: Int[np.ndarray, "r p"],
) -> Float[np.ndarray, " r"]:
    """The mean over all that the patients of every draw have; nan if that is nothing."""
    total, count = (
        drawn.astype(float) @ np.asarray(own, float) for own in (sums, counts)
    )
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)


def mean_with_interval(
    values: Float[np.ndarray, " n"], patients: Sequence[str]
) -> tuple[float, float, float]:
    """The mean of what is not nan, and its interval over patients; nan of nothing."""
    known = values[~np.isnan(values)]
    if not len(known):
        return (np.nan,) * 3
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    drawn = draws(len(names), resamples=RESAMPLES, seed=0)
    return float(known.mean()), *interval(drawn_means(values, owner, drawn))


def interval(
    values: Float[np.ndarray, " r"], level: float = 0.95
) -> tuple[float, float]:
    """Percentiles of the draws in which the score is defined; nan if there is none."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def _wins(
    score: np.ndarray, positive: np.ndarray, owner: np.ndarray, patients: int
) -> Float[np.ndarray, "p p"]:
    """How often a positive of one patient outscores another's negative, ties by half."""
    wins = np.zeros((patients, patients))
    for other in range(patients):
        beaten = np.sort(score[~positive & (owner == other)])
        below = np.searchsorted(beaten, score[positive], "left")
        not_above = np.searchsorted(beaten, score[positive], "right")
        ranks = (below + not_above) / 2
        wins[:, other] = np.bincount(owner[positive], ranks, patients)
    return wins
