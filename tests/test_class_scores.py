"""Scores of classified slices, by hand and against scikit-learn."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from brainseg_jax.metrics import classification as class_scores
from brainseg_jax.metrics import confusions, ranking
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.tasks import classification

CLASSES = ("no tumour", "tumour")
DECIDE = classification.make_task(CLASSES, exclusive=True, threshold=0.5).predict

# Ann: three slices, two with tumour; bob: five, one with tumour.
PATIENTS = ["ann"] * 3 + ["bob"] * 5
LABELS = np.array([1, 1, 0, 0, 0, 0, 0, 1])
SCORES = np.array([0.9, 0.4, 0.6, 0.1, 0.2, 0.7, 0.3, 0.8])


def decided(score=SCORES, label=LABELS):
    probability = np.stack([1 - score, score], axis=1)
    return Decided(probability, np.asarray(DECIDE(probability)), label)


def summary(score=SCORES, label=LABELS, patients=PATIENTS):
    return class_scores.summarise(
        decided(score, label), patients, classes=CLASSES, decide=DECIDE, resamples=100
    )


def test_slices_are_scored_all_together():
    found = summary()
    # Predicted 1 0 1 0 0 1 0 1: tp 2, fn 1, fp 2, tn 3.
    assert confusions.confusion(decided()).tolist() == [[3, 2], [1, 2]]
    assert found["slice_accuracy"] == 5 / 8
    assert found["slice_sensitivity"] == found["slice_recall_tumour"] == 2 / 3
    assert found["slice_specificity"] == found["slice_recall_no_tumour"] == 3 / 5
    assert found["slice_balanced_accuracy"] == pytest.approx((2 / 3 + 3 / 5) / 2)
    assert found["slice_precision_tumour"] == 2 / 4
    assert found["slice_precision_no_tumour"] == 3 / 4
    assert found["slice_f1_tumour"] == 4 / 7  # 2 tp / (2 tp + fp + fn)
    # .9 beats all 5 negatives, .8 all 5, .4 four but .6 and .7: 3.
    assert found["slice_auc"] == pytest.approx((5 + 5 + 3) / 15)


def test_a_patient_score_is_the_mean_of_each_ones_own():
    found = summary()
    # Ann: 1 of 3 right; of tumour 1/2, of none 0/1. Bob: 4 of 5; 1/1 and 3/4.
    assert found["patient_accuracy"] == pytest.approx((1 / 3 + 4 / 5) / 2)
    assert found["patient_balanced_accuracy"] == pytest.approx((1 / 4 + 7 / 8) / 2)
    # Ann: .9 beats .6, .4 does not. Bob: .8 beats all.
    assert found["patient_auc"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["patient_accuracy_low"] == pytest.approx(1 / 3)
    assert found["patient_accuracy_high"] == pytest.approx(4 / 5)


def test_in_the_patients_matrix_everyone_counts_once():
    weights = confusions.patient_weights(PATIENTS)
    matrix = confusions.confusion(decided(), weights)
    # No tumour: ann 0 right 1/3 wrong, bob 3/5 and 1/5. Tumour: ann 1/3 and 1/3, bob 1/5.
    np.testing.assert_allclose(matrix, [[3 / 5, 8 / 15], [1 / 3, 8 / 15]])
    assert matrix.sum() == pytest.approx(2)


def test_a_patient_of_one_class_has_an_accuracy_but_no_balanced_one():
    label = np.where(np.array(PATIENTS) == "ann", 0, LABELS)
    found = summary(label=label)
    assert found["patient_accuracy"] == pytest.approx((1 / 3 + 4 / 5) / 2)
    assert found["patient_balanced_accuracy"] == 7 / 8  # bob's alone
    assert found["patient_auc"] == 1


def test_a_patient_as_a_whole_needs_one_label():
    found = summary()
    assert math.isnan(found["patient_mean_probability_accuracy"])
    assert math.isnan(found["patient_mean_probability_auc"])
    # Ann's mean is 1.9/3 = .63, bob's 2.1/5 = .42.
    label = np.array([1] * 3 + [0] * 5)
    assert summary(label=label)["patient_mean_probability_accuracy"] == 1
    assert summary(label=1 - label)["patient_mean_probability_accuracy"] == 0
    assert summary(label=np.ones(8, int))["patient_mean_probability_accuracy"] == 1 / 2
    assert math.isnan(summary(label=np.ones(8, int))["patient_mean_probability_auc"])


def test_what_is_not_defined_is_nan():
    found = summary(score=np.full(8, 0.1), label=np.zeros(8, int))
    assert found["slice_accuracy"] == 1
    for name in ("balanced_accuracy", "auc", "sensitivity", "precision_tumour"):
        assert math.isnan(found[f"slice_{name}"]), name
    assert found["slice_f1_macro"] == 1  # of the one class there is
    # There, but never predicted: not right, rather than unknown.
    assert summary(score=np.full(8, 0.1))["slice_precision_tumour"] == 0


def many(seed, count=60, classes=4, ties=False):
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(count) % classes)
    probability = rng.dirichlet(np.ones(classes), count)
    if ties:
        probability = probability.round(1)
    return Decided(probability, probability.argmax(1), label)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_every_slice_score_is_scikit_learns(seed):
    one = many(seed)
    matrix = confusions.confusion(one)
    pair = (one.label, one.predicted)
    np.testing.assert_array_equal(matrix, sklearn.metrics.confusion_matrix(*pair))
    found = class_scores.summarise(
        one,
        ["p"] * 60,
        classes="abcd",
        decide=lambda probability: probability.argmax(-1),
        resamples=2,
    )
    metrics = sklearn.metrics
    assert found["slice_accuracy"] == pytest.approx(metrics.accuracy_score(*pair))
    expected = metrics.balanced_accuracy_score(*pair)
    assert found["slice_balanced_accuracy"] == pytest.approx(expected)
    for average in ("macro", "weighted"):
        values = metrics.precision_recall_fscore_support(
            *pair, average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), values, strict=False):
            assert found[f"slice_{name}_{average}"] == pytest.approx(value)
    expected = metrics.roc_auc_score(one.label, one.probability, multi_class="ovr")
    assert found["slice_auc"] == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_auc_and_curve_with_ties_are_scikit_learns(seed):
    one = many(seed, classes=2, ties=True)
    score, positive = one.probability[:, 1], one.label == 1
    expected = sklearn.metrics.roc_auc_score(positive, score)
    assert ranking.mean_auc(one) == pytest.approx(expected)
    false, true = ranking.roc(score, positive)
    assert np.trapezoid(true, false) == pytest.approx(expected)
    both = sklearn.metrics.roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose((false, true), both[:2])


def test_patients_that_do_not_match_the_slices_are_refused():
    with pytest.raises(ValueError, match="8 slices, but 7 names"):
        class_scores.by_patient(decided(), PATIENTS[:7])
