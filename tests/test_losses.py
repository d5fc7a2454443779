"""The contract that every loss in brainseg_jax/losses keeps."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.losses import focal, focal_tversky
from brainseg_jax.training import objective
from tests.loss_problems import (
    LOSSES,
    OF_IMAGES,
    as_logits,
    both_kinds,
    every_loss,
    make_problem,
    maps_of,
)


@every_loss
@both_kinds
@pytest.mark.parametrize("space", [(6, 5), (4, 3, 2)], ids=["2d", "3d"])
def test_a_loss_gives_one_value_per_example_none_negative(loss, exclusive, space):
    value = loss(*make_problem(exclusive, (3, *space)), exclusive=exclusive)
    assert value.shape == (3,) and value.dtype == jnp.float32
    assert (value > 0).all()


@every_loss
@both_kinds
def test_the_number_of_dimensions_does_not_matter(loss, exclusive):
    logits, target = make_problem(exclusive, (3, 4, 6))
    flat = loss(logits, target, exclusive=exclusive)
    split = loss(
        logits.reshape(3, 2, 2, 6, 3),
        target.reshape(3, 2, 2, 6, *target.shape[3:]),
        exclusive=exclusive,
    )
    np.testing.assert_allclose(flat, split, rtol=1e-6)


@every_loss
@both_kinds
def test_value_and_gradient_are_finite_on_empty_and_full_masks(loss, exclusive):
    # The first class everywhere, nowhere, and as it comes.
    _, mixed = make_problem(exclusive)
    full, empty = (jnp.full_like(mixed, held != exclusive) for held in (True, False))
    total = jax.jit(
        jax.value_and_grad(
            lambda logits, target: loss(logits, target, exclusive=exclusive).sum()
        )
    )
    for name, target in (("mixed", mixed), ("full", full), ("empty", empty)):
        # Wrong, undecided and right; 200 is certain beyond float32.
        for strength in (-200.0, -50.0, 0.0, 50.0, 200.0):
            logits = as_logits(maps_of(target, exclusive), strength)
            value, gradient = total(logits, target)
            assert jnp.isfinite(value), (name, strength)
            assert jnp.isfinite(gradient).all(), (name, strength)


@pytest.mark.parametrize("name", ["dice", "tversky", "focal_tversky"])
@both_kinds
@pytest.mark.parametrize("smooth", [0.0, 1e-30])
def test_without_smoothing_two_empty_masks_agree(name, exclusive, smooth):
    # Neither truth nor, for strong logits, prediction has anything of the last class.
    target = jnp.zeros((1, 4, 4), int) if exclusive else jnp.zeros((1, 4, 4, 2))
    maps = jax.nn.one_hot(target, 2) if exclusive else target
    loss = functools.partial(
        LOSSES[name], target=target, exclusive=exclusive, smooth=smooth
    )
    total = jax.jit(jax.value_and_grad(lambda logits: loss(logits).sum()))
    for strength in (-200.0, -20.0, 0.0, 10.0, 15.0, 20.0, 22.0, 40.0, 50.0, 90.0):
        value, gradient = total(as_logits(maps, strength))
        assert 0 <= value <= 1, strength
        assert jnp.isfinite(gradient).all(), strength
    assert loss(as_logits(maps, 200.0)) == 0


@every_loss
@both_kinds
def test_a_loss_falls_to_zero_as_the_prediction_improves(loss, exclusive):
    _, target = make_problem(exclusive)
    maps = maps_of(target, exclusive)
    values = np.array(
        [
            loss(as_logits(maps, strength), target, exclusive=exclusive)
            for strength in (-4, -2, -1, 0, 1, 2, 4, 8, 50)
        ]
    )
    assert (np.diff(values, axis=0) < 0).all()
    np.testing.assert_allclose(values[-1], 0, atol=1e-6)


@every_loss
@both_kinds
def test_a_step_down_the_gradient_lowers_the_loss(loss, exclusive):
    logits, target = make_problem(exclusive)
    total = jax.value_and_grad(
        lambda logits: loss(logits, target, exclusive=exclusive).sum()
    )
    before, gradient = total(logits)
    after, _ = total(logits - gradient)
    assert after < before


@every_loss
def test_false_alarms_on_an_empty_mask_cost(loss):
    target = jnp.zeros((1, 4, 4, 1))
    few, many = (jnp.full(target.shape, -8.0).at[:, :rows].set(8.0) for rows in (1, 3))
    # At the default smooth the overlap losses are at their ceiling from one pixel on.
    options = {} if loss in OF_IMAGES.values() else {"smooth": 1.0}
    value = functools.partial(loss, target=target, exclusive=False, **options)
    assert value(few) < value(many)


@every_loss
@both_kinds
def test_an_examples_loss_depends_on_it_alone(loss, exclusive):
    logits, target = make_problem(exclusive)
    together = loss(logits, target, exclusive=exclusive)
    alone = loss(logits[1:2], target[1:2], exclusive=exclusive)
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-6)
    gradient = jax.grad(lambda x: loss(x, target, exclusive=exclusive)[1])(logits)
    assert (gradient[1] != 0).any()
    assert (gradient[0] == 0).all() and (gradient[2] == 0).all()


@every_loss
def test_weighing_one_class_alone_ignores_the_others(loss):
    logits, target = make_problem(exclusive=False)
    weighted = loss(logits, target, exclusive=False, class_weights=(0, 1, 0))
    alone = loss(logits[..., 1:2], target[..., 1:2], exclusive=False)
    np.testing.assert_allclose(weighted, alone, rtol=1e-6)


@every_loss
@both_kinds
def test_only_the_ratios_of_class_weights_count(loss, exclusive):
    weighted = functools.partial(loss, *make_problem(exclusive), exclusive=exclusive)
    equal = weighted(class_weights=(0.25, 0.25, 0.25))
    np.testing.assert_allclose(equal, weighted(), rtol=1e-6)
    one, ten = (weighted(class_weights=(k, 2 * k, 3 * k)) for k in (1, 10))
    np.testing.assert_allclose(one, ten, rtol=1e-6)
    assert not np.allclose(one, equal)


@every_loss
@both_kinds
def test_no_sum_of_a_loss_is_a_matrix_product(loss, exclusive):
    # GPUs and TPUs round the factors of one to as few as 8 bits.
    logits, target = make_problem(exclusive)
    weights = (1.0, 2.0, 3.0)
    alone = functools.partial(loss, exclusive=exclusive, class_weights=weights)
    found = jax.make_jaxpr(jax.value_and_grad(lambda x: alone(x, target).sum()))(logits)
    assert "dot_general" not in str(found)


@both_kinds
def test_no_sum_of_the_whole_loss_is_a_matrix_product(exclusive):
    logits, target = make_problem(exclusive, shape=(3, 8, 8))
    task = types.SimpleNamespace(target=lambda batch: target, exclusive=exclusive)
    if exclusive:
        target = jax.nn.one_hot(target, 3)
    weighted = {name: {"weight": 0.5, "class_weights": [1, 2, 3]} for name in LOSSES}
    whole = objective.make_loss(weighted, task)
    heads = (logits, logits[:, ::2, ::2], logits[:, ::4, ::4])
    found = jax.make_jaxpr(jax.value_and_grad(lambda x: whole(x, {})[0].sum()))(heads)
    assert "dot_general" not in str(found)


@every_loss
@pytest.mark.parametrize("weights", [(1, 1), (0, 0, 0), (1, -1, 2)])
def test_class_weights_that_make_no_mean_are_refused(loss, weights):
    logits, target = make_problem(exclusive=False)
    with pytest.raises(ValueError, match="must hold 3 numbers"):
        loss(logits, target, exclusive=False, class_weights=weights)


@every_loss
@both_kinds
def test_half_precision_logits_are_summed_in_float32(loss, exclusive):
    # 4,096 probabilities of 0.5 sum to 2,048; in bfloat16 a sum stops at 256 halves.
    logits, target = jnp.zeros((1, 64, 64, 2)), jnp.ones((1, 64, 64, 2))
    target = target[..., 0].astype(int) if exclusive else target
    full = loss(logits, target, exclusive=exclusive)
    half = loss(logits.astype(jnp.bfloat16), target, exclusive=exclusive)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, full, rtol=1e-6)


@every_loss
def test_a_target_of_another_shape_or_type_is_refused(loss):
    logits = jnp.zeros((2, 4, 4, 3))
    with pytest.raises(ValueError, match="independent classes has shape"):
        loss(logits, jnp.zeros((2, 4, 4, 1)), exclusive=False)
    with pytest.raises(ValueError, match="exclusive classes has shape"):
        loss(logits, jnp.zeros((2, 4, 4, 2), int), exclusive=True)
    with pytest.raises(ValueError, match="exclusive classes are integers"):
        loss(logits, jnp.zeros((2, 4, 4)), exclusive=True)


@pytest.mark.parametrize("name", ["dice", "tversky", "focal_tversky"])
@both_kinds
def test_an_overlap_loss_of_shares_is_0_where_they_are_predicted(name, exclusive):
    # A product of the two would be least where what is half covered is predicted whole.
    shares = jnp.array([[0.5, 0.5], [0.9, 0.1], [0.25, 0.75]]).reshape(1, 3, 2)
    odds = jnp.log(shares) if exclusive else jnp.log(shares / (1 - shares))
    loss = functools.partial(LOSSES[name], target=shares, exclusive=exclusive)
    np.testing.assert_allclose(loss(odds), 0, atol=2e-5)
    for step in (-0.5, 0.5):
        assert loss(odds.at[0, 0, 0].add(step)) > 0.01


@pytest.mark.parametrize("loss", OF_IMAGES.values(), ids=OF_IMAGES.keys())
def test_the_weight_of_a_whole_images_class_is_not_cancelled(loss):
    logits, label = jnp.zeros((2, 2)), jnp.array([0, 1])
    plain = loss(logits, label, exclusive=True)
    weighted = loss(logits, label, exclusive=True, class_weights=(3, 1))
    np.testing.assert_allclose(weighted / plain, [1.5, 0.5], rtol=1e-6)


def test_focal_tverskys_gradient_fades_out_towards_a_perfect_prediction():
    # The infinite slope of a power below 1 at 0 must not show on the way either.
    _, target = make_problem(exclusive=False)

    def size(strength):
        gradient = jax.grad(
            lambda x: focal_tversky.loss(x, target, exclusive=False).sum()
        )
        return float(jnp.abs(gradient(as_logits(target, strength))).max())

    sizes = [size(strength) for strength in (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 200.0)]
    assert all(after < before for before, after in zip(sizes, sizes[1:], strict=False))
    assert sizes[-1] == 0


def test_focal_with_a_gamma_below_one_has_a_finite_gradient_at_certainty():
    for exclusive in (False, True):
        _, target = make_problem(exclusive)
        logits = as_logits(maps_of(target, exclusive), 200.0)
        loss = functools.partial(
            focal.loss, target=target, exclusive=exclusive, gamma=0.5
        )
        assert jnp.isfinite(jax.grad(lambda x, loss=loss: loss(x).sum())(logits)).all()
