"""Calibration by hand and against scikit-learn; a temperature mends what one spoiled."""

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics

from brainseg_jax.metrics import calibration
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports.parts import calibration_figure


def drawn(count=20_000, classes=3, sharpened=1.0, seed=0):
    """Labels drawn by their probabilities, which are then made surer than they are."""
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(classes), count)
    label = (probability.cumsum(1) < rng.random((count, 1))).sum(1)
    told = calibration.with_temperature(probability, 1 / sharpened, exclusive=True)
    return Decided(told, told.argmax(1), label)


def test_the_expected_error_worked_out_by_hand():
    # Two bins: 0.4 (right) and 0.3 (wrong); 0.9 (right), 0.7 and 1.0 (wrong).
    confidence = np.array([0.4, 0.3, 0.9, 0.7, 1.0])
    right = np.array([True, False, True, False, False])
    found = calibration.binned(confidence, right, bins=2)
    np.testing.assert_allclose(found.confidence, [0.35, 2.6 / 3])
    np.testing.assert_allclose(found.accuracy, [1 / 2, 1 / 3])
    expected = 2 / 5 * (0.5 - 0.35) + 3 / 5 * (2.6 / 3 - 1 / 3)
    assert calibration.expected_error(found) == pytest.approx(expected)


def test_the_curve_is_scikit_learns():
    one = drawn(500, classes=2)
    found = calibration.binned(one.probability[:, 1], one.label == 1, bins=10)
    accuracy, confidence = sklearn.calibration.calibration_curve(
        one.label, one.probability[:, 1], n_bins=10
    )
    known = found.examples > 0
    np.testing.assert_allclose(found.accuracy[known], accuracy)
    np.testing.assert_allclose(found.confidence[known], confidence)


@pytest.mark.parametrize("classes", [2, 4])
def test_brier_and_cross_entropy_are_scikit_learns(classes):
    one = drawn(300, classes)
    truth, told = np.eye(classes)[one.label], one.probability
    squared = ((told - truth) ** 2).sum(1).mean()
    if classes == 2:
        squared = sklearn.metrics.brier_score_loss(one.label, told[:, 1])
    assert calibration.brier(one) == pytest.approx(squared)
    expected = sklearn.metrics.log_loss(one.label, told)
    found = calibration.cross_entropy(one, temperature=1, exclusive=True)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_two_classes_have_one_logit(exclusive, temperature):
    second = np.array([0.1, 0.5, 0.99])
    pair = np.stack([1 - second, second], 1)
    logits = np.log(second / (1 - second)) / temperature
    found = calibration.with_temperature(pair, temperature, exclusive=exclusive)
    np.testing.assert_allclose(found[:, 1], 1 / (1 + np.exp(-logits)))


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 2.5])
def test_the_temperature_that_spoiled_probabilities_is_found(sharpened):
    one = drawn(sharpened=sharpened)
    found = calibration.fit_temperature(one, exclusive=True)
    assert found == pytest.approx(sharpened, rel=0.05)
    mended = one._replace(
        probability=calibration.with_temperature(one.probability, found, exclusive=True)
    )
    before, after = (
        calibration.expected_error(calibration.reliability(each))
        for each in (one, mended)
    )
    assert after < 0.02 and (sharpened == 1 or before > 5 * after)


def test_the_figure_has_a_curve_for_each(tmp_path):
    curves = {
        "as predicted": calibration.reliability(drawn(300, sharpened=2.5)),
        "at temperature 2.50": calibration.reliability(drawn(300)),
    }
    path = calibration_figure.reliability_curves(
        curves, tmp_path / "calibration.png", title="t", note="PHANTOM"
    )
    assert path.stat().st_size > 10_000
