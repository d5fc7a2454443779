"""Schedules against values by hand; Keras's Adam against Keras."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax.training import optimisers

SCHEDULE = {
    "rate": 0.1,
    "warmup_steps": 0,
    "final": 0.0,
    "step_epochs": 2,
    "factor": 0.5,
    "decay": 1.0,
    "steps_per_epoch": 2.5,
    "total_steps": 100,
}
DECAYING = {
    "name": "plateau",
    "rate": 0.95,
    "decay": 0.95,
    "step_epochs": 3,
    "steps_per_epoch": 2.0,
}
ADAM = {
    "encoder_rate": 1.0,
    "b1": 0.9,
    "b2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "clip": 0.0,
}


def rates(steps, **changes):
    schedule = optimisers.make_schedule(**{**SCHEDULE, **changes})
    return [float(schedule(step)) for step in steps]


def test_cosine_is_half_way_down_in_the_middle():
    assert rates((0, 50, 100), name="cosine") == pytest.approx([0.1, 0.05, 0.0])


def test_cosine_ends_at_its_final_share():
    assert rates((100, 500), name="cosine", final=0.2) == pytest.approx([0.02, 0.02])


def test_cosine_begins_anew_at_each_restart():
    # Cycles of 20 and 80 steps: half way down after 10 and after 20 + 40.
    found = rates((0, 10, 19, 20, 60, 100), name="cosine", restarts=(20,))
    last = 0.05 * (1 + np.cos(0.95 * np.pi))
    assert found == pytest.approx([0.1, 0.05, last, 0.1, 0.05, 0.0], abs=1e-8)


def test_warm_up_is_of_the_first_cycle_alone():
    found = rates((0, 3, 10, 11), name="cosine", restarts=(11,), warmup_steps=3)
    # From step 3 to 11 is a cycle: after 7 of its 8 steps the next is at full rate.
    last = 0.05 * (1 + np.cos(7 / 8 * np.pi))
    assert found == pytest.approx([0.025, 0.1, last, 0.1], abs=1e-8)


def test_warm_up_rises_linearly():
    found = rates((0, 1, 3, 9), name="constant", warmup_steps=3)
    assert found == pytest.approx([0.025, 0.05, 0.1, 0.1])


def test_step_halves_every_two_epochs():
    # Two epochs of 2.5 steps are 5 steps.
    assert rates((4, 5, 10), name="step") == pytest.approx([0.1, 0.05, 0.025])


def test_plateau_without_decay_is_constant():
    assert rates((0, 5, 99), name="plateau") == pytest.approx([0.1, 0.1, 0.1])


def test_plateau_decays_every_third_epoch():
    found = rates(range(0, 16, 2), **DECAYING)  # the first steps of epochs 0 to 7
    # 0.95 = 0.95 ** 1, 0.9025 = 0.95 ** 2, 0.857375 = 0.95 ** 3: Keras's scheduler has
    # multiplied before epochs 0, 3 and 6.
    assert found == pytest.approx([0.95] * 3 + [0.9025] * 3 + [0.857375] * 2)
    assert rates((5,), **DECAYING) == pytest.approx([0.95])  # the last step of epoch 2


def test_drops_and_decay_multiply():
    plateau, found = optimisers.Plateau(), []
    for epoch, score in enumerate((0.5, 0.6, 0.6, 0.7, 0.7, 0.8, 0.9, 0.9)):
        found += [rates((2 * epoch,), **DECAYING)[0] * plateau.scale]
        plateau = optimisers.update_plateau(
            plateau, score, factor=0.1, patience=1, min_delta=1e-4, floor=0.0
        )
    # Not better after epochs 2 and 4 (and 7): a tenth from 3 on, a hundredth from 5 on.
    assert found == pytest.approx(
        [0.95, 0.95, 0.95, 0.09025, 0.09025, 0.009025, 0.00857375, 0.00857375]
    )


def test_plateau_drops_after_patience_and_stops_at_its_floor():
    plateau, scales = optimisers.Plateau(), []
    for score in (1, 2, 2, 2, 3, 3, 3, 3, 3):
        plateau = optimisers.update_plateau(
            plateau, score, factor=0.1, patience=2, min_delta=0.0, floor=0.05
        )
        scales.append(plateau.scale)
    # Worse twice after the second: 0.1. Twice after the fifth: 0.01, held at 0.05.
    assert scales == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05])


def test_a_better_score_is_better_by_more_than_min_delta():
    plateau, scales = optimisers.Plateau(), []
    for score in (1.0, 1.4, 1.5, 1.6):
        plateau = optimisers.update_plateau(
            plateau, score, factor=0.1, patience=2, min_delta=0.5, floor=0.0
        )
        scales.append(plateau.scale)
    # 1.4 and 1.5 are not above 1 + 0.5: the rate drops; 1.6 is.
    assert scales == pytest.approx([1, 1, 0.1, 0.1]) and plateau.best == 1.6


@pytest.mark.parametrize("name", ["adam", "adamw", "keras_adam"])
def test_a_clipped_gradient_keeps_its_direction(name):
    optimizer = optimisers.make_optimizer(
        lambda step: 1.0, name=name, **{**ADAM, "clip": 1.0, "eps": 1e3}
    )
    params = {"kernel": jnp.zeros((1, 2))}
    grads = {"kernel": jnp.array([[3.0, 4.0]]) * 1e6}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    # With so large an epsilon Adam is linear in the gradient.
    ratio = updates["kernel"][0, 1] / updates["kernel"][0, 0]
    assert float(ratio) == pytest.approx(4 / 3, rel=1e-3)


def test_weight_decay_leaves_biases_alone():
    optimizer = optimisers.make_optimizer(
        lambda step: 1.0, name="adamw", **{**ADAM, "weight_decay": 0.1}
    )
    params = {"kernel": jnp.ones((1, 2)), "bias": jnp.ones(2)}
    grads = {"kernel": jnp.zeros((1, 2)), "bias": jnp.zeros(2)}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1, rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0)


@pytest.mark.parametrize("eps", [1e-7, 0.1])
def test_keras_adam_equals_keras(keras, eps):
    rate, start = 0.05, np.array([1.0, -2.0, 3.0], np.float32)
    variable = keras.Variable(start)
    theirs = keras.optimizers.Adam(rate, epsilon=eps)
    ours = optimisers.make_optimizer(
        lambda step: rate, name="keras_adam", **{**ADAM, "eps": eps}
    )
    params = jnp.asarray(start)
    state = ours.init(params)
    rng = np.random.default_rng(0)
    for _ in range(5):
        grads = rng.normal(size=3).astype(np.float32)
        theirs.apply([jnp.asarray(grads)], [variable])
        updates, state = ours.update(jnp.asarray(grads), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, variable.value, rtol=1e-5)
