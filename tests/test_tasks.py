"""Masks to targets and probabilities to masks, with the publisher's own values."""

import jax.numpy as jnp
import numpy as np

from brainseg_jax import tasks

CLASSES = {"core": 1, "oedema": 4}
MASK = np.array([[0, 1], [4, 2]], np.uint8)[None, ..., None]


def test_each_class_is_a_map_of_its_own_value():
    target = tasks.segmentation(CLASSES).target({"mask": jnp.asarray(MASK)})
    np.testing.assert_array_equal(target[0, ..., 0], [[0, 1], [0, 0]])
    np.testing.assert_array_equal(target[0, ..., 1], [[0, 0], [1, 0]])


def test_exclusive_targets_are_labels_with_background_first():
    task = tasks.segmentation(CLASSES, exclusive=True)
    target = task.target({"mask": jnp.asarray(MASK)})
    np.testing.assert_array_equal(target[0], [[0, 1], [2, 0]])
    assert task.outputs == 3


def test_predictions_have_the_publishers_values():
    probs = jnp.array([[0.9, 0.2], [0.1, 0.6], [0.1, 0.2]]).reshape(1, 1, 3, 2)
    found = tasks.segmentation(CLASSES).predict(probs)
    np.testing.assert_array_equal(found[0, 0, :, 0], [1, 4, 0])
    softmax = jnp.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]).reshape(1, 1, 2, 3)
    found = tasks.segmentation(CLASSES, exclusive=True).predict(softmax)
    np.testing.assert_array_equal(found[0, 0, :, 0], [0, 4])


def test_the_threshold_decides():
    probs = jnp.full((1, 1, 1, 1), 0.4)
    for threshold, expected in ((0.3, 255), (0.5, 0)):
        task = tasks.segmentation({"tumour": 255}, threshold=threshold)
        assert int(task.predict(probs).sum()) == expected


def test_a_perfect_prediction_measures_as_one():
    task = tasks.segmentation(CLASSES)
    batch = {"mask": jnp.asarray(MASK)}
    counts = task.measure(task.target(batch), batch)
    np.testing.assert_array_equal(counts.true_positives, [[1, 1]])
    np.testing.assert_array_equal(counts.false_positives, [[0, 0]])
    np.testing.assert_array_equal(counts.true_negatives, [[3, 3]])
