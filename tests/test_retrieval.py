"""Rankings of stored cases by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from brainseg_jax.metrics import resampling, retrieval

PATIENTS = ["a", "a", "b", "c"]


def test_of_each_patient_the_nearest_case_is_shown():
    distances = np.array([0.3, 0.1, 0.2, 0.4])
    assert retrieval.nearest_patients(distances, PATIENTS, 2).tolist() == [1, 2]
    distances[2] = np.nan  # left out
    assert retrieval.nearest_patients(distances, PATIENTS, 9).tolist() == [1, 3]


def test_scores_by_hand():
    # In order b, a's second, a's first, c. Right are the second and the fourth: precision
    # 1/2 and 2/4 where they come. Of the two patients nearest, a's nearest case is right.
    labels = np.array([0, 1, 0, 1])
    found = retrieval.score(
        np.array([[0.3, 0.2, 0.1, 0.4]]), np.array([1]), labels, PATIENTS, 2
    )
    assert found.average_precision.tolist() == [0.5] and found.precision.tolist() == [
        0.5
    ]
    # Without b's case: first a's second, then a's first, then c.
    found = retrieval.score(
        np.array([[0.3, 0.2, np.nan, 0.4]]), np.array([1]), labels, PATIENTS, 2
    )
    assert found.average_precision[0] == pytest.approx((1 + 2 / 3) / 2)
    assert found.precision.tolist() == [1]


def test_average_precision_is_scikit_learns():
    rng = np.random.default_rng(0)
    distances = rng.random((40, 30)).round(1)  # with ties
    labels, asked = rng.integers(0, 3, 30), rng.integers(0, 3, 40)
    found = retrieval.score(distances, asked, labels, [*map(str, range(30))], 5)
    expected = [
        average_precision_score(labels == one, -own)
        for one, own in zip(asked, distances, strict=True)
    ]
    np.testing.assert_allclose(found.average_precision, expected, atol=1e-12)


def test_distances_are_of_directions():
    ones = np.array([[1.0, 0], [0.6, 0.8]])
    found = retrieval.cosine_distances(ones, np.array([[1.0, 0], [0, 1], [-1, 0]]))
    np.testing.assert_allclose(found, [[0, 1, 2], [0.4, 0.2, 1.6]], atol=1e-12)


def test_a_random_order_finds_each_class_as_often_as_it_is_stored():
    rng = np.random.default_rng(1)
    labels = (np.arange(300) < 90).astype(int)  # 30 % are of class 1
    left_out = np.where(rng.random((400, 300)) < 0.1, np.nan, 0)
    distances = retrieval.in_random_order(left_out, rng)
    assert np.isnan(distances).mean() == pytest.approx(0.1, abs=0.01)
    found = retrieval.score(
        distances, np.ones(400, int), labels, [*map(str, range(300))], 5
    )
    assert found.precision.mean() == pytest.approx(0.3, abs=0.03)
    assert found.average_precision.mean() == pytest.approx(0.3, abs=0.03)


def test_the_interval_is_over_patients():
    values = np.array([1.0, 1, 0, np.nan])
    mean, low, high = resampling.mean_with_interval(values, ["p", "p", "q", "q"])
    # Draws of two patients: p twice 1, both 2/3, q twice 0.
    assert (mean, low, high) == (pytest.approx(2 / 3), 0, 1)
    assert np.isnan(resampling.mean_with_interval(values[3:], ["q"])).all()
