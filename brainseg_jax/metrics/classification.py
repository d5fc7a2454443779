"""Scores of classified slices: over all slices, over each patient's, and of patients.

A patient as a whole is classified by the mean probability of its slices; scores of that are
called patient_mean_probability_.... What is undefined is nan (the policy UNDEFINED), and
every mean and interval leaves it out: confusions.py and ranking.py say what that is.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from brainseg_jax.metrics import (
    calibration,
    confusions,
    decisions,
    ranking,
    resampling,
)
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.confusions import Matrices, Values
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.metrics.overlap import AnyArray

UNDEFINED = "nan"
OF_PATIENTS = "patient_mean_probability"  # of scores of patients as a whole
ENDS = ("", "_low", "_high")  # of the names of a score and of its interval
EACH_PATIENT = ("accuracy", "balanced_accuracy", "f1", "auc", "average_precision")

Decide = Callable[[Float[AnyArray, "n c"]], Int[AnyArray, " n"]]


class Patients(NamedTuple):
    """Scores of each patient's own slices, in the order of `names`."""

    names: list[Hashable]
    decided: list[Decided]
    accuracy: Float[np.ndarray, " p"]
    balanced_accuracy: Float[np.ndarray, " p"]
    f1: Float[np.ndarray, " p"]  # mean over classes
    auc: Float[np.ndarray, " p"]
    average_precision: Float[np.ndarray, " p"]

    @property
    def have_one_label(self) -> bool:
        """Whether a patient's slices all have the same label, for every patient."""
        return all(len(set(own.label.tolist())) == 1 for own in self.decided)


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
    matrices = [confusions.confusion(one) for one in own]
    return Patients(
        names,
        own,
        accuracy=np.array([confusions.accuracy(matrix) for matrix in matrices]),
        balanced_accuracy=np.array(
            [confusions.balanced_accuracy(matrix) for matrix in matrices]
        ),
        f1=np.array([confusions.mean(confusions.f1(matrix)) for matrix in matrices]),
        auc=np.array([ranking.mean_auc(one) for one in own]),
        average_precision=np.array(
            [ranking.mean_average_precision(one) for one in own]
        ),
    )


def by_mean_probability(patients: Patients, decide: Decide) -> Decided:
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
    """Every score by name: slice_auc, patient_accuracy, patient_mean_probability_auc...

    Patient scores are means over patients of the scores of each one's own slices. Those of
    patient_mean_probability are of patients classified by the mean probability of their
    slices, nan unless each patient's slices have one label. Scores of one class end in its
    name. Each has an interval, ..._low and ..._high, over patients drawn with replacement.

    Raises:
        ValueError: if there is not one patient per slice.
    """
    options: dict[str, Any] = {"level": level, "resamples": resamples, "seed": seed}
    grouped = by_patient(decided, patients)
    place = {name: i for i, name in enumerate(grouped.names)}
    owner = np.array([place[name] for name in patients])
    summary = _pooled("slice", decided, owner, classes, **options)
    summary |= _calibration(decided, owner, len(place), **options)
    for name in EACH_PATIENT:
        summary |= _spread(f"patient_{name}", getattr(grouped, name), **options)
    if grouped.have_one_label:
        whole, owner = by_mean_probability(grouped, decide), np.arange(len(place))
        return summary | _pooled(OF_PATIENTS, whole, owner, classes, **options)
    named = _named(
        np.zeros((len(classes),) * 2), np.full(len(classes), np.nan), classes
    )
    precisions = _precisions_named(np.full(len(classes), np.nan), classes)
    return summary | {
        f"{OF_PATIENTS}_{name}": math.nan
        for name in (f"{name}{end}" for name in (*named, *precisions) for end in ENDS)
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
        np.stack([confusions.confusion(one) for one in own]), drawn
    )
    label, probability = np.asarray(decided.label), np.asarray(decided.probability)
    aucs = [
        resampling.drawn_auc(probability[:, k], label == k, owner, drawn)
        for k in range(len(classes))
    ]
    precisions = [
        resampling.drawn_average_precision(probability[:, k], label == k, owner, drawn)
        for k in range(len(classes))
    ]
    known = _named(
        confusions.confusion(decided), ranking.class_aucs(decided), classes
    ) | _precisions_named(ranking.class_average_precisions(decided), classes)
    spread = _named(matrices, np.stack(aucs, -1), classes) | _precisions_named(
        np.stack(precisions, -1), classes
    )
    summary: dict[str, float] = {}
    for name, value in known.items():
        ends = (float(value), *resampling.interval(spread[name], level))
        summary |= {
            f"{prefix}_{name}{end}": one for end, one in zip(ENDS, ends, strict=True)
        }
    return summary


def _calibration(
    decided: Decided,
    owner: Int[np.ndarray, " n"],
    patients: int,
    *,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, float]:
    """How far probabilities of slices are off; intervals draw patients anew."""
    drawn = resampling.draws(patients, resamples=resamples, seed=seed)
    sums = calibration.sums_of_patients(decided, owner, patients)
    errors = calibration.squared_errors(decided)
    found = {
        "slice_ece": (
            calibration.expected_error(calibration.reliability(decided)),
            resampling.drawn_calibration_error(*sums, drawn),
        ),
        "slice_brier": (
            calibration.brier(decided),
            resampling.drawn_means(errors, owner, drawn),
        ),
    }
    return {
        f"{name}{end}": value
        for name, (known, means) in found.items()
        for end, value in zip(
            ENDS, (known, *resampling.interval(means, level)), strict=True
        )
    }


def _precisions_named(values: Values, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Average precisions [... c] by name, of all examples or of every draw."""
    found = {"average_precision": ranking.mean_of_classes(values)}
    for place, name in enumerate(classes):
        found[f"average_precision_{decisions.key_of(name)}"] = values[..., place]
    return found


def _named(
    matrix: Matrices, aucs: Values, classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Scores by name, of one confusion matrix and its AUCs or of every draw's."""
    per_class = {
        "precision": confusions.precision(matrix),
        "recall": confusions.recall(matrix),
    }
    per_class["f1"] = confusions.f1(matrix)
    named = {
        "accuracy": confusions.accuracy(matrix),
        "balanced_accuracy": confusions.balanced_accuracy(matrix),
        "auc": ranking.mean_of_classes(aucs),
    }
    for name, values in per_class.items():
        named[f"{name}_macro"] = confusions.mean(values)
        named[f"{name}_weighted"] = confusions.weighted_mean(values, matrix.sum(-1))
    if len(classes) == 2:
        named["specificity"] = per_class["recall"][..., 0]
        named["sensitivity"] = per_class["recall"][..., 1]
    for name, values in {**per_class, "auc": aucs}.items():
        for place, one in enumerate(classes):
            named[f"{name}_{decisions.key_of(one)}"] = values[..., place]
    return named


def _spread(name: str, values: np.ndarray, **interval) -> dict[str, float]:
    low, high = scores.bootstrap_interval(values, **interval)
    return {
        name: float(confusions.mean(values)),
        f"{name}_low": low,
        f"{name}_high": high,
    }
