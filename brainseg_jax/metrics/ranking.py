"""How well a probability ranks examples: ROC curves, areas, average precision."""

import math

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float

from brainseg_jax.metrics import confusions
from brainseg_jax.metrics.confusions import Values
from brainseg_jax.metrics.decisions import Decided


def auc(score: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Area under the ROC curve: how often a positive outscores a negative, ties by half."""
    hits, others = int(positive.sum()), int((~positive).sum())
    if not hits or not others:
        return math.nan
    ranks = scipy.stats.rankdata(score)
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * others))


def class_aucs(decided: Decided) -> Float[np.ndarray, " c"]:
    """ROC-AUC of each class against all others."""
    label, probability = np.asarray(decided.label), np.asarray(decided.probability)
    return np.array(
        [auc(probability[:, k], label == k) for k in range(probability.shape[1])]
    )


def mean_auc(decided: Decided) -> float:
    """ROC-AUC of the second of two classes; of more, the mean over classes."""
    values = class_aucs(decided)
    return float(mean_of_classes(values))


def roc(
    score: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """False and true positive rate as the threshold falls, one point per score."""
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    true, false = np.cumsum(positive)[last], np.cumsum(~positive)[last]
    return np.append(0, false / false[-1]), np.append(0, true / true[-1])


def average_precision(
    score: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]
) -> float:
    """Precision where each positive is found, from the highest score down, on average.

    Those of one score are found together, as scikit-learn has it. nan without positives.
    """
    if not positive.any():
        return math.nan
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits = np.cumsum(positive)[last]
    return float((np.diff(hits, prepend=0) * hits / (last + 1)).sum() / hits[-1])


def class_average_precisions(decided: Decided) -> Float[np.ndarray, " c"]:
    """Average precision of each class against all others."""
    label, probability = np.asarray(decided.label), np.asarray(decided.probability)
    return np.array(
        [
            average_precision(probability[:, k], label == k)
            for k in range(probability.shape[1])
        ]
    )


def mean_average_precision(decided: Decided) -> float:
    """Of the second of two classes; of more, the mean over classes."""
    return float(mean_of_classes(class_average_precisions(decided)))


def mean_of_classes(aucs: Values) -> np.ndarray:
    return aucs[..., -1] if aucs.shape[-1] == 2 else confusions.mean(aucs)
