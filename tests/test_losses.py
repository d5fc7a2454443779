"""Every loss keeps the contract; each has values by hand and from other libraries."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics

from brainseg_jax import losses, registry
from brainseg_jax.losses import cross_entropy, dice, focal, focal_tversky, tversky
from brainseg_jax.losses.parts import soft_overlap
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective

LOSSES = {name: registry.find(losses, name).loss for name in registry.names(losses)}
OF_IMAGES = {"cross_entropy": cross_entropy.loss, "focal": focal.loss}

every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
both_kinds = pytest.mark.parametrize(
    "exclusive", [False, True], ids=["sigmoids", "softmax"]
)


def make_problem(exclusive, shape=(3, 6, 5), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(*shape, classes)).astype(np.float32)
    if exclusive:
        return jnp.asarray(logits), jnp.asarray(rng.integers(0, classes, shape))
    return jnp.asarray(logits), jnp.asarray(rng.integers(0, 2, logits.shape), float)


def as_logits(maps, strength):
    """Logits of +strength where a map is 1 and -strength where it is 0."""
    return strength * (2 * maps - 1)


def maps_of(target, exclusive, classes=3):
    return jax.nn.one_hot(target, classes) if exclusive else target


def by_hand():
    """Two positions in the class, two outside, with p = 0.8, 0.5, 0.2, 0.2."""
    probs = jnp.array([0.8, 0.5, 0.2, 0.2]).reshape(1, 2, 2, 1)
    target = jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
    return jnp.log(probs / (1 - probs)), target


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


@pytest.mark.parametrize("loss", OF_IMAGES.values(), ids=OF_IMAGES.keys())
def test_the_weight_of_a_whole_images_class_is_not_cancelled(loss):
    logits, label = jnp.zeros((2, 2)), jnp.array([0, 1])
    plain = loss(logits, label, exclusive=True)
    weighted = loss(logits, label, exclusive=True, class_weights=(3, 1))
    np.testing.assert_allclose(weighted / plain, [1.5, 0.5], rtol=1e-6)


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
