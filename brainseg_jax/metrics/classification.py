"""Scores of classified slices: over all slices, over each patient's, and of patients.

A patient as a whole is classified by the mean probability of its slices; scores of that are
called patient_vote_.... What is undefined is nan (the policy UNDEFINED), and every mean and
interval leaves it out:

- Recall of a class without examples; balanced accuracy and ROC-AUC without examples of at
  least two classes.
- Precision and F1 of a class that has no examples and is never predicted. A class with
  examples that is never predicted has precision 0, as in brainseg_jax/metrics/overlap.py.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int

from brainseg_jax.metrics import decisions, resampling
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.metrics.overlap import AnyArray

UNDEFINED = "nan"
ENDS = ("", "_low", "_high")  # of the names of a score and of its interval

Matrix = Float[np.ndarray, "c c"]  # rows: the label; columns: what was predicted
Matrices = Float[np.ndarray, "*draws c c"]  # one, or one for each draw of patients
Values = Float[np.ndarray, "*draws c"]
Decide = Callable[[Float[AnyArray, "n c"]], Int[AnyArray, " n"]]


class Patients(NamedTuple):
    """Scores of each patient's own slices, in the order of `names`."""

    names: list[Hashable]
    decided: list[Decided]
    accuracy: Float[np.ndarray, " p"]
    balanced_accuracy: Float[np.ndarray, " p"]
    auc: Float[np.ndarray, " p"]

    @property
    def have_one_label(self) -> bool:
        """Whether a patient's slices all have the same label, for every patient."""
        return all(len(set(own.label.tolist())) == 1 for own in self.decided)


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
    return _ratio(_right(matrix).sum(-1), matrix.sum((-2, -1)))


def recall(matrix: Matrices) -> Values:
    """Of the slices of each class, the share predicted as it: sensitivity."""
    return _ratio(_right(matrix), matrix.sum(-1))


def precision(matrix: Matrices) -> Values:
    """Of the slices predicted as each class, the share that has it."""
    there = matrix.sum(-1) > 0
    found = _ratio(_right(matrix), matrix.sum(-2))
    return np.where(np.isnan(found) & there, 0.0, found)


def f1(matrix: Matrices) -> Values:
    return _ratio(2 * _right(matrix), matrix.sum(-2) + matrix.sum(-1))


def balanced_accuracy(matrix: Matrices) -> Float[np.ndarray, "*draws"]:
    """Mean recall of the classes that have examples."""
    known = (matrix.sum(-1) > 0).sum(-1)
    return np.where(known > 1, _mean(recall(matrix)), math.nan)


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
    return float(_mean_of_classes(values))


def roc(
    score: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """False and true positive rate as the threshold falls, one point per score."""
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    true, false = np.cumsum(positive)[last], np.cumsum(~positive)[last]
    return np.append(0, false / false[-1]), np.append(0, true / true[-1])


def by_patient(decided: Decided, patients: Sequence[Hashable]) -> Patients:
    """Each patient's slices, scored by themselves, in order of appearance.

    Raises:
        ValueError: if there is not one name per slice.
    """
    if len(patients) != len(decided.label):
        raise ValueError(
            f"{len(decided.label)} slices, but {len(patients)} names of patients."
        )
    names = list(dict.fromkeys(patients))
    owner = np.array(patients)
    own = [Decided(*(part[owner == name] for part in decided)) for name in names]
    matrices = [confusion(one) for one in own]
    return Patients(
        names,
        own,
        accuracy=np.array([accuracy(matrix) for matrix in matrices]),
        balanced_accuracy=np.array([balanced_accuracy(matrix) for matrix in matrices]),
        auc=np.array([mean_auc(one) for one in own]),
    )


def vote(patients: Patients, decide: Decide) -> Decided:
    """A prediction per patient, from the mean probability of its slices."""
    mean = np.stack([own.probability.mean(0) for own in patients.decided])
    label = np.array([own.label[0] for own in patients.decided])
    return Decided(mean, np.asarray(decide(mean)), label)


def summarise(
    decided: Decided,
    patients: Sequence[Hashable],
    *,
    classes: Sequence[str],
    decide: Decide,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, float]:
    """Every score by name: slice_auc, patient_accuracy, patient_vote_accuracy...

    Patient scores are means over patients of the scores of each one's own slices. Those of
    patient_vote are of patients classified by the mean probability of their slices, nan
    unless each patient's slices have one label. Scores of one class end in its name. Each
    has an interval, ..._low and ..._high, over patients drawn with replacement.

    Raises:
        ValueError: if there is not one patient per slice.
    """
    options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    grouped = by_patient(decided, patients)
    place = {name: i for i, name in enumerate(grouped.names)}
    owner = np.array([place[name] for name in patients])
    summary = _pooled("slice", decided, owner, classes, **options)
    for name in ("accuracy", "balanced_accuracy", "auc"):
        summary |= _spread(f"patient_{name}", getattr(grouped, name), **options)
    if grouped.have_one_label:
        votes, voters = vote(grouped, decide), np.arange(len(grouped.names))
        return summary | _pooled("patient_vote", votes, voters, classes, **options)
    named = _named(
        np.zeros((len(classes),) * 2), np.full(len(classes), np.nan), classes
    )
    return summary | {
        f"patient_vote_{name}{end}": math.nan for name in named for end in ENDS
    }


def score_names(classes: Sequence[str]) -> tuple[str, ...]:
    """The names of all scores of a data set of these classes."""
    label = np.arange(len(classes))
    summary = summarise(
        Decided(np.eye(len(classes)), label, label),
        ["patient"] * len(classes),
        classes=classes,
        decide=lambda probability: label[:1],
        resamples=1,
    )
    return tuple(summary)


def _pooled(
    prefix: str,
    decided: Decided,
    owner: Int[np.ndarray, " n"],
    classes: Sequence[str],
    *,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """Every score of all examples together; its interval draws their owners anew."""
    count = int(owner.max()) + 1
    own = [Decided(*(part[owner == i] for part in decided)) for i in range(count)]
    drawn = resampling.draws(count, resamples=resamples, seed=seed)
    matrices = resampling.drawn_matrices(
        np.stack([confusion(one) for one in own]), drawn
    )
    label, probability = np.asarray(decided.label), np.asarray(decided.probability)
    aucs = [
        resampling.drawn_auc(probability[:, k], label == k, owner, drawn)
        for k in range(len(classes))
    ]
    known = _named(confusion(decided), class_aucs(decided), classes)
    spread = _named(matrices, np.stack(aucs, -1), classes)
    summary: dict[str, float] = {}
    for name, value in known.items():
        ends = (float(value), *resampling.interval(spread[name], level))
        summary |= {
            f"{prefix}_{name}{end}": one for end, one in zip(ENDS, ends, strict=True)
        }
    return summary


def _named(
    matrix: Matrices, aucs: Values, classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Scores by name, of one confusion matrix and its AUCs or of every draw's."""
    per_class = {"precision": precision(matrix), "recall": recall(matrix)}
    per_class["f1"] = f1(matrix)
    named = {
        "accuracy": accuracy(matrix),
        "balanced_accuracy": balanced_accuracy(matrix),
        "auc": _mean_of_classes(aucs),
    }
    for name, values in per_class.items():
        named[f"{name}_macro"] = _mean(values)
        named[f"{name}_weighted"] = _weighted(values, matrix.sum(-1))
    if len(classes) == 2:
        named["specificity"] = per_class["recall"][..., 0]
        named["sensitivity"] = per_class["recall"][..., 1]
    for name, values in {**per_class, "auc": aucs}.items():
        for place, one in enumerate(classes):
            named[f"{name}_{decisions.key_of(one)}"] = values[..., place]
    return named


def _right(matrix: Matrices) -> Values:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _mean_of_classes(aucs: Values) -> np.ndarray:
    return aucs[..., -1] if aucs.shape[-1] == 2 else _mean(aucs)


def _spread(name: str, values: np.ndarray, **interval) -> dict[str, float]:
    low, high = scores.bootstrap_interval(values, **interval)
    return {name: float(_mean(values)), f"{name}_low": low, f"{name}_high": high}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), math.nan)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is known there."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(-1), known.sum(-1))


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean by the number of examples; classes without any weigh nothing."""
    return _ratio((np.where(weights > 0, values, 0) * weights).sum(-1), weights.sum(-1))
