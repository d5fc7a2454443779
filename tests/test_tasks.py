"""Masks to targets and probabilities to masks, with the publisher's own values."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.tasks import classification, segmentation

segment = functools.partial(segmentation.make_task, exclusive=False, threshold=0.5)
classify = functools.partial(classification.make_task, exclusive=True, threshold=0.5)
CLASSES = {"core": 1, "oedema": 4}
MASK = np.array([[0, 1], [4, 2]], np.uint8)[None, ..., None]


def test_each_class_is_a_map_of_its_own_value():
    target = segment(CLASSES).target({"mask": jnp.asarray(MASK)})
    np.testing.assert_array_equal(target[0, ..., 0], [[0, 1], [0, 0]])
    np.testing.assert_array_equal(target[0, ..., 1], [[0, 0], [1, 0]])


def test_exclusive_targets_are_maps_with_background_first():
    task = segment(CLASSES, exclusive=True)
    target = task.target({"mask": jnp.asarray(MASK)})
    np.testing.assert_array_equal(target[0].argmax(-1), [[0, 1], [2, 0]])
    np.testing.assert_array_equal(target[0].sum(-1), np.ones((2, 2)))
    assert task.outputs == 3


def test_shares_are_targets_as_they_are():
    batch = {"share": jnp.array([0.25, 0.5]).reshape(1, 1, 1, 2)}
    target = segment(CLASSES).target(batch)
    np.testing.assert_array_equal(target[0, 0, 0], [0.25, 0.5])
    target = segment(CLASSES, exclusive=True).target(batch)
    np.testing.assert_array_equal(target[0, 0, 0], [0.25, 0.25, 0.5])


def test_predictions_have_the_publishers_values():
    probs = jnp.array([[0.9, 0.2], [0.1, 0.6], [0.1, 0.2]]).reshape(1, 1, 3, 2)
    found = segment(CLASSES).predict(probs)
    np.testing.assert_array_equal(found[0, 0, :, 0], [1, 4, 0])
    softmax = jnp.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]).reshape(1, 1, 2, 3)
    found = segment(CLASSES, exclusive=True).predict(softmax)
    np.testing.assert_array_equal(found[0, 0, :, 0], [0, 4])


def test_the_threshold_decides():
    probs = jnp.full((1, 1, 1, 1), 0.4)
    for threshold, expected in ((0.3, 255), (0.5, 0)):
        task = segment({"tumour": 255}, threshold=threshold)
        assert int(task.predict(probs).sum()) == expected


def test_a_perfect_prediction_measures_as_one():
    task = segment(CLASSES)
    batch = {"mask": jnp.asarray(MASK)}
    counts = task.measure(task.target(batch), batch)
    np.testing.assert_array_equal(counts.true_positives, [[1, 1]])
    np.testing.assert_array_equal(counts.false_positives, [[0, 0]])
    np.testing.assert_array_equal(counts.true_negatives, [[3, 3]])


LABELS = jnp.array([0, 2, 1])


def test_labels_are_targets_of_competing_classes():
    task = classify("abc")
    np.testing.assert_array_equal(task.target({"label": LABELS}), LABELS)
    assert task.outputs == 3
    logits = jnp.log(jnp.array([[0.2, 0.5, 0.3]]))
    np.testing.assert_allclose(task.probabilities(logits), [[0.2, 0.5, 0.3]], rtol=1e-6)
    assert task.predict(task.probabilities(logits)).tolist() == [1]


def test_independent_classes_have_a_sigmoid_each():
    task = classify("abc", exclusive=False)
    expected = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    np.testing.assert_array_equal(task.target({"label": LABELS}), expected)
    assert task.outputs == 3
    probs = task.probabilities(jnp.zeros((1, 3)))
    np.testing.assert_allclose(probs, [[0.5, 0.5, 0.5]])


def test_two_independent_classes_are_one_sigmoid_of_the_last():
    task = classify(("no tumour", "tumour"), exclusive=False)
    assert task.outputs == 1
    target = task.target({"label": jnp.array([0, 1])})
    np.testing.assert_array_equal(target, [[0], [1]])
    # A logit of log 3 is a probability of 3/4.
    probs = task.probabilities(jnp.log(jnp.array([[3.0]])))
    np.testing.assert_allclose(probs, [[0.25, 0.75]], rtol=1e-6)
    two = classify(("no tumour", "tumour"))
    assert two.outputs == 2
    np.testing.assert_allclose(
        two.probabilities(jnp.log(jnp.array([[1.0, 3.0]]))), probs, rtol=1e-6
    )


def test_of_two_classes_the_threshold_decides():
    probs = jnp.array([[0.6, 0.4]])
    for threshold, expected in ((0.3, 1), (0.5, 0)):
        task = classify("ab", threshold=threshold)
        assert task.predict(probs).tolist() == [expected]


def test_classes_are_neither_flipped_back_nor_resized():
    task = classify("ab")
    probs = jnp.array([[0.6, 0.4]])
    assert task.unflip(probs, (1,)) is probs
    assert task.resize(probs, {}) is probs


REGIONS = {"WT": [1, 2, 4], "TC": [1, 4], "ET": 4}
PAINTING = [("WT", 2), ("TC", 1), ("ET", 4)]  # as BraTS 2021 has it


def test_regions_are_sets_of_labels_and_painted_back_one_over_the_other():
    task = segment(REGIONS, painting=PAINTING)
    mask = jnp.array([0, 1, 2, 4], jnp.uint8).reshape(1, 2, 2, 1)
    target = task.target({"mask": mask})
    np.testing.assert_array_equal(
        target.reshape(4, 3), [[0, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 1]]
    )
    np.testing.assert_array_equal(task.predict(target), mask)


@pytest.mark.parametrize("exclusive", [False, True])
def test_several_labels_of_one_class_are_learnt_alike_and_painted_with_one(exclusive):
    task = segment({"tumour": [1, 2]}, painting=[("tumour", 1)], exclusive=exclusive)
    mask = jnp.array([0, 1, 2, 0], jnp.uint8).reshape(1, 2, 2, 1)
    target = task.target({"mask": mask})
    assert task.outputs == 1 + exclusive
    np.testing.assert_array_equal(target[..., -1].reshape(4), [0, 1, 1, 0])
    np.testing.assert_array_equal(task.predict(target).reshape(4), [0, 1, 1, 0])
    counts = task.measure(target, {"mask": mask})
    np.testing.assert_array_equal(counts.true_positives, [[2]])


def test_regions_without_a_way_back_are_refused():
    with pytest.raises(ValueError, match='metadata a "painting"'):
        segment(REGIONS)
    with pytest.raises(ValueError, match="regions of several labels; set it to False"):
        segment(REGIONS, painting=PAINTING, exclusive=True)
    with pytest.raises(ValueError, match="'NET', which is not one of its classes"):
        segment(REGIONS, painting=[("NET", 1)])


def test_labels_share_a_softmax_and_the_regions_they_make_are_scored():
    task = segment(REGIONS, painting=PAINTING, exclusive=True, targets="labels")
    assert task.classes == ("WT", "TC", "ET") and task.outputs == 4
    mask = jnp.array([0, 1, 2, 4], jnp.uint8).reshape(1, 2, 2, 1)
    target = task.target({"mask": mask})
    np.testing.assert_array_equal(target.reshape(4, 4), np.eye(4))
    # Of a batch for training: a share of each label, the smallest label first.
    shares = {"share": target[..., 1:]}
    np.testing.assert_array_equal(task.target(shares), target)
    np.testing.assert_array_equal(task.predict(target), mask)
    # Label 4 taken for 1: still of WT and TC, but no longer of ET.
    wrong = target.at[0, 1, 1].set(jnp.array([0, 0.6, 0, 0.4]))
    counts = task.measure(wrong, {"mask": mask})
    np.testing.assert_array_equal(counts.true_positives, [[3, 2, 0]])
    np.testing.assert_array_equal(counts.false_negatives, [[0, 0, 1]])


def test_labels_without_a_softmax_are_refused():
    with pytest.raises(ValueError, match="exclusive is False; set it to True"):
        segment(REGIONS, painting=PAINTING, targets="labels")


def test_of_several_sigmoids_the_most_probable_class_is_written():
    # Both are above the threshold in the first place, none in the second.
    probs = jnp.array([[0.6, 0.9], [0.4, 0.3]]).reshape(1, 1, 2, 2)
    found = segment(CLASSES).predict(probs)
    np.testing.assert_array_equal(found[0, 0, :, 0], [4, 0])
