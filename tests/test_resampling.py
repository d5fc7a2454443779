"""Intervals over patients, against scikit-learn's scores of weighted slices."""

import numpy as np
import pytest
import sklearn.metrics

from brainseg_jax.metrics import calibration, confusions, resampling
from brainseg_jax.metrics import classification as class_scores
from brainseg_jax.metrics.decisions import Decided

RNG = np.random.default_rng(3)
OWNER = np.repeat(np.arange(6), 5)
LABEL = RNG.integers(3, size=30)
PROBABILITY = np.round(RNG.dirichlet(np.ones(3), size=30), 1)  # so that some are tied
DRAWN = resampling.draws(6, resamples=20, seed=0)
DECIDED = Decided(PROBABILITY, PROBABILITY.argmax(-1), LABEL)
CLASSES = ("meningioma", "glioma", "pituitary")


def test_every_draw_is_of_as_many_patients():
    assert DRAWN.shape == (20, 6) and (DRAWN.sum(1) == 6).all()
    assert DRAWN.std() > 0


@pytest.mark.parametrize("kind", range(3))
def test_the_auc_of_a_draw_is_scikit_learns_of_weighted_slices(kind):
    found = resampling.drawn_auc(PROBABILITY[:, kind], kind == LABEL, OWNER, DRAWN)
    for value, often in zip(found, DRAWN, strict=True):
        assert value == pytest.approx(
            sklearn.metrics.roc_auc_score(
                kind == LABEL, PROBABILITY[:, kind], sample_weight=often[OWNER]
            )
        )


@pytest.mark.parametrize("kind", range(3))
def test_the_average_precision_of_a_draw_is_scikit_learns(kind, monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK", 7 * 30)  # a few draws at a time
    score, positive = PROBABILITY[:, kind], kind == LABEL
    found = resampling.drawn_average_precision(score, positive, OWNER, DRAWN)
    for value, often in zip(found, DRAWN, strict=True):
        weights = {"sample_weight": often[OWNER]}
        expected = sklearn.metrics.average_precision_score(positive, score, **weights)
        assert value == pytest.approx(expected)
    none = resampling.drawn_average_precision(score, positive & False, OWNER, DRAWN)
    assert np.isnan(none).all() and len(none) == 20


def test_calibration_of_a_draw_is_that_of_slices_as_often_as_they_came():
    sums = calibration.sums_of_patients(DECIDED, OWNER, 6)
    errors = resampling.drawn_calibration_error(*sums, DRAWN)
    squared = calibration.squared_errors(DECIDED)
    briers = resampling.drawn_means(squared, OWNER, DRAWN)
    for error, brier, often in zip(errors, briers, DRAWN, strict=True):
        places = np.repeat(np.arange(30), often[OWNER])
        repeated = Decided(*(part[places] for part in DECIDED))
        curve = calibration.reliability(repeated)
        assert error == pytest.approx(calibration.expected_error(curve))
        assert brier == pytest.approx(calibration.brier(repeated))


def test_scores_of_a_draw_are_scikit_learns_of_weighted_slices():
    own = [
        confusions.confusion(Decided(*(part[i == OWNER] for part in DECIDED)))
        for i in range(6)
    ]
    matrices = resampling.drawn_matrices(np.stack(own), DRAWN)
    f1 = confusions.f1(matrices)
    balanced = confusions.balanced_accuracy(matrices)
    for i, often in enumerate(DRAWN):
        truth, weights = (LABEL, DECIDED.predicted), {"sample_weight": often[OWNER]}
        assert f1[i] == pytest.approx(
            sklearn.metrics.f1_score(*truth, average=None, **weights)
        )
        assert balanced[i] == pytest.approx(
            sklearn.metrics.balanced_accuracy_score(*truth, **weights)
        )


def test_an_auc_without_negatives_in_the_draw_is_left_out():
    # Ann's slices are all positive, bob's all negative: both have to be drawn.
    drawn = np.array([[2, 0], [1, 1], [0, 2]])
    positive, owner = np.array([True, True, False]), np.array([0, 0, 1])
    score = np.array([0.9, 0.2, 0.5])
    found = resampling.drawn_auc(score, positive, owner, drawn)
    assert found[1] == 1 / 2 and np.isnan(found[[0, 2]]).all()
    assert resampling.interval(found) == (1 / 2, 1 / 2)


def test_patients_of_one_class_each_are_scored_by_class():
    # Four patients of two slices, by mean probability: ann 0, bob 1, cat 1 (not 0), dan 2.
    label = np.repeat([0, 1, 0, 2], 2)
    probability = np.eye(3)[np.repeat([0, 1, 1, 2], 2)]
    found = class_scores.summarise(
        Decided(probability, probability.argmax(-1), label),
        np.repeat(["ann", "bob", "cat", "dan"], 2).tolist(),
        classes=CLASSES,
        decide=lambda mean: mean.argmax(-1),
    )
    assert found["patient_mean_probability_balanced_accuracy"] == pytest.approx(
        (1 / 2 + 1 + 1) / 3
    )
    assert found["patient_mean_probability_f1_meningioma"] == pytest.approx(2 / 3)
    assert found["patient_mean_probability_f1_glioma"] == pytest.approx(2 / 3)
    assert found["patient_mean_probability_auc_pituitary"] == 1
    # Ann outscores bob and dan, cat ties with dan (0 each) and with bob: (2 + 1) / 4.
    assert found["patient_mean_probability_auc_meningioma"] == pytest.approx(3 / 4)
    assert found["patient_mean_probability_accuracy"] == 3 / 4
    assert (
        found["patient_mean_probability_accuracy_low"]
        < 3 / 4
        < found["patient_mean_probability_accuracy_high"]
    )
    assert found["slice_f1_macro_low"] < found["slice_f1_macro"]
    for name in ("ece", "brier", "average_precision", "average_precision_glioma"):
        low, value, high = (
            found[f"slice_{name}{end}"] for end in ("_low", "", "_high")
        )
        assert low <= value <= high and low < high
