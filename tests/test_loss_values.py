"""Losses have values worked out by hand and those of other libraries."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics

from brainseg_jax.losses import cross_entropy, dice, focal, focal_tversky, tversky
from brainseg_jax.losses.parts import soft_overlap
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective
from tests.loss_problems import LOSSES, make_problem


def by_hand():
    """Two positions in the class, two outside, with p = 0.8, 0.5, 0.2, 0.2."""
    probs = jnp.array([0.8, 0.5, 0.2, 0.2]).reshape(1, 2, 2, 1)
    target = jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
    return jnp.log(probs / (1 - probs)), target


def test_counts_of_shares_worked_out_by_hand():
    # p 0.8 of a share of 0.5: 0.5 in common, 0.3 too much. p 0.2 of 0.6: 0.4 missed.
    probs, shares = jnp.array([0.8, 0.2]), jnp.array([0.5, 0.6]).reshape(1, 2, 1)
    logits = jnp.log(probs / (1 - probs)).reshape(1, 2, 1)
    counts = soft_overlap.soft_counts(logits, shares, exclusive=False)
    np.testing.assert_allclose(jnp.ravel(jnp.array(counts)), [0.7, 0.3, 0.4], rtol=1e-5)


@pytest.mark.parametrize(
    "loss, options, expected",
    [
        # hits 0.8 + 0.5 = 1.3, false alarms 0.2 + 0.2 = 0.4, misses 0.2 + 0.5 = 0.7:
        # 1 - 1.3 / (1.3 + 0.3 * 0.4 + 0.7 * 0.7) = 0.61 / 1.91
        (tversky, {}, 0.319372),
        # Prices of 1 and 1 are IoU: 1 - 1.3 / (1.3 + 0.4 + 0.7) = 1.1 / 2.4
        (tversky, {"alpha": 1.0, "beta": 1.0}, 0.458333),
        (focal_tversky, {}, 0.424837),  # 0.319372 ** 0.75
        # predicted 1.7, true 2: 1 - (2 * 1.3 + 1) / (1.7 + 2 + 1) = 1 - 3.6 / 4.7
        (dice, {}, 0.234043),
        # -ln 0.8 = 0.223144 three times, -ln 0.5 = 0.693147 once: 1.362578 / 4
        (cross_entropy, {}, 0.340645),
        # (3 * 0.2 ** 2 * 0.223144 + 0.5 ** 2 * 0.693147) / 4 = 0.200064 / 4
        (focal, {}, 0.050016),
        # 0.25 * (0.008926 + 0.173287) inside, 0.75 * 2 * 0.008926 outside, over 4
        (focal, {"alpha": 0.25}, 0.0147354),
    ],
    ids=lambda value: getattr(value, "__name__", "").rpartition(".")[2] or None,
)
def test_values_worked_out_by_hand(loss, options, expected):
    value = loss.loss(*by_hand(), exclusive=False, **options)
    np.testing.assert_allclose(value, [expected], rtol=1e-5)


def test_softmax_values_worked_out_by_hand():
    # Three equal logits: each class has a third.
    logits, target = jnp.zeros((1, 5, 3)), jnp.array([[0, 1, 2, 1, 1]])
    expected = {
        cross_entropy: np.log(3),
        focal: (2 / 3) ** 2 * np.log(3),
        # Hits n/3, false alarms (5 - n)/3, misses 2n/3 for n = 1, 3, 1 positions:
        # 2 hits + false alarms + misses = (5 + 3n)/3, so 1 - (2n + 3)/(5 + 3n + 3).
        dice: np.mean([1 - 5 / 11, 1 - 9 / 17, 1 - 5 / 11]),
    }
    for loss, value in expected.items():
        found = loss.loss(logits, target, exclusive=True)
        np.testing.assert_allclose(found, [value], rtol=1e-6)


def test_class_weights_in_a_softmax_weigh_positions_by_their_class():
    # p(truth) is 0.8 and 0.6; weights 3 and 1 over their mean 2 are 1.5 and 0.5.
    logits = jnp.log(jnp.array([[[0.8, 0.2], [0.4, 0.6]]]))
    found = cross_entropy.loss(
        logits, jnp.array([[0, 1]]), exclusive=True, class_weights=(3, 1)
    )
    expected = (1.5 * -np.log(0.8) + 0.5 * -np.log(0.6)) / 2
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_whole_images_have_cross_entropy_too():
    logits, label = make_problem(exclusive=True, shape=(7,))
    found = cross_entropy.loss(logits, label, exclusive=True)
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, label)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    probs = np.asarray(jax.nn.softmax(logits), float)
    mean = sklearn.metrics.log_loss(
        label, probs / probs.sum(1, keepdims=True), labels=[0, 1, 2]
    )
    assert float(found.mean()) == pytest.approx(mean, rel=1e-5)


def test_sigmoid_losses_equal_optax():
    logits, target = make_problem(exclusive=False)
    expected = optax.sigmoid_binary_cross_entropy(logits, target).mean((1, 2, 3))
    found = cross_entropy.loss(logits, target, exclusive=False)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for alpha, gamma in ((None, 2.0), (0.25, 2.0), (0.7, 0.5)):
        expected = optax.sigmoid_focal_loss(logits, target, alpha=alpha, gamma=gamma)
        found = focal.loss(logits, target, exclusive=False, alpha=alpha, gamma=gamma)
        np.testing.assert_allclose(found, expected.mean((1, 2, 3)), rtol=1e-5)


def test_overlap_losses_equal_keras(keras):
    logits, target = make_problem(exclusive=False, classes=1)
    probs = jax.nn.sigmoid(logits)
    # Keras adds 1e-7 to both sides of Dice's fraction, as smooth does here. Its Tversky
    # takes the truth for the prediction, so that alpha there is the price of misses.
    expected = {
        "dice": keras.losses.dice(target, probs, axis=(1, 2, 3)),
        "tversky": keras.losses.tversky(
            target, probs, alpha=0.7, beta=0.3, axis=(1, 2, 3)
        ),
    }
    for name, values in expected.items():
        found = LOSSES[name](logits, target, exclusive=False, smooth=1e-7)
        np.testing.assert_allclose(found, values, rtol=1e-5)


def test_softmax_focal_is_system_001s_but_for_its_mean_over_classes():
    logits, target = make_problem(exclusive=True, classes=4)
    probs, truth = jax.nn.softmax(logits), jax.nn.one_hot(target, 4)
    expected = (-truth * 0.25 * (1 - probs) ** 2 * jnp.log(probs)).mean((1, 2, 3))
    found = focal.loss(logits, target, exclusive=True, alpha=0.25)
    np.testing.assert_allclose(found / 4, expected, rtol=1e-5)


def test_system_001s_loss_by_hand_with_its_weights_over_their_sum():
    terms = {
        "dice": {"weight": 1.0, "smooth": 1e-5, "class_weights": (0.25,) * 4},
        "focal": {"weight": 0.25, "alpha": 0.25},
    }
    classes = {f"label {label}": label for label in (1, 2, 4)}
    task = segmentation.make_task(classes, exclusive=True, threshold=0.5)
    probs = jnp.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1]])
    batch = {"mask": jnp.array([0, 1], jnp.uint8).reshape(1, 2, 1, 1, 1)}
    total, found = objective.make_loss(terms, task)(
        jnp.log(probs).reshape(1, 2, 1, 1, 4), batch
    )
    # F1 of the four classes, each with 1e-5 above and below: 1.4 / 1.9, 1 / 1.6, 0 / 0.3
    # and 0 / 0.2. Theirs is 1 - 0.25 * mean, which is never below 0.75.
    f1 = np.array(
        [1.40001 / 1.90001, 1.00001 / 1.60001, 1e-5 / 0.30001, 1e-5 / 0.20001]
    )
    np.testing.assert_allclose(found["dice"], [1 - f1.mean()], rtol=1e-5)
    # 0.25 (1 - p) ** 2 (-log p) of the truth, over two voxels and four classes.
    surprise = [0.09 * 0.3566749, 0.25 * 0.6931472]
    focal_term = 0.25 * sum(surprise) / 8
    np.testing.assert_allclose(total, [1 - f1.mean() + focal_term], rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_softmax_focal_equals_keras(keras, gamma):
    logits, target = make_problem(exclusive=True)
    expected = keras.losses.categorical_focal_crossentropy(
        jax.nn.one_hot(target, 3), jax.nn.softmax(logits), alpha=0.25, gamma=gamma
    )
    found = focal.loss(logits, target, exclusive=True, alpha=0.25, gamma=gamma)
    np.testing.assert_allclose(found, expected.mean((1, 2)), rtol=1e-5)
