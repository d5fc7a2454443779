"""Frozen parts get no update and keep their batch statistics; the rest trains."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax import parallel
from brainseg_jax.models import unet
from brainseg_jax.training import freezing, optimisers, steps
from brainseg_jax.training.state import create_state

SHAPE = (2, 16, 16, 3)
# A bias before a normalisation has no gradient but rounding, of which Adam makes a step.
MODEL = unet.Model(1, widths=(4, 6, 8), bias=False)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(MODEL.init)(jax.random.key(0, impl="rbg"), jnp.zeros(SHAPE))


def identity(keys, batch):
    return batch


def loss(logits, batch):
    return ((logits - batch["mask"]) ** 2).mean((1, 2, 3)), {}


def make_optimizer(frozen, encoder_rate):
    return optimisers.make_optimizer(
        lambda step: 0.01,
        name="adamw",
        **{"b1": 0.9, "b2": 0.999, "eps": 1e-8, "weight_decay": 0.1, "clip": 1.0},
        frozen=frozen,
        encoder_rate=encoder_rate,
    )


def train(
    frozen=frozenset(),
    encoder_rate=1.0,
    count=2,
    average_decay=0.0,
    remat=False,
    mode="pmap",
    devices=1,
):
    """States before and after some steps."""
    devices = parallel.Devices(mode, tuple(jax.devices()[:devices]))
    model = MODEL.clone(remat=remat, axis_name=devices.axis_name)
    optimizer = make_optimizer(frozen, encoder_rate)
    step = devices.train_step(
        functools.partial(
            steps.train_step,
            model=model,
            optimizer=optimizer,
            loss=loss,
            augment=identity,
            mean=devices.mean,
            average_decay=average_decay,
            frozen=frozen,
        )
    )
    random = np.random.default_rng(0)
    batch = {
        "image": random.normal(2, 3, SHAPE).astype(np.float32),
        "mask": random.normal(size=(*SHAPE[:-1], 1)).astype(np.float32),
        "scaling": np.tile(np.float32([-9, 9, 0, 1])[:, None], (2, 1, 3)),
        "place": np.arange(2),
    }
    before = create_state(
        model, optimizer, jax.random.key(0), (1, *SHAPE[1:]), average=average_decay > 0
    )
    before = jax.tree.map(np.array, before)  # steps overwrite their input
    after = devices.replicate(before)
    for _ in range(count):
        after, _ = step(after, {}, devices.shard(batch), jax.random.key(1))
    return before, jax.device_get(after)


def moved(before, after):
    """Paths of the arrays that differ in any bit."""
    paths = jax.tree_util.tree_leaves_with_path(before)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for (path, old), new in zip(paths, jax.tree.leaves(after), strict=True)
        if (np.asarray(old) != np.asarray(new)).any()
    }


@pytest.fixture(scope="module")
def with_frozen_encoder():
    frozen = freezing.frozen_modules(MODEL, SHAPE, ("encoder",), "")
    return train(frozen, average_decay=0.99, count=3)


def test_a_frozen_encoder_stands_still_and_the_decoder_trains(with_frozen_encoder):
    before, after = with_frozen_encoder
    params = moved(before.params, after.params)
    assert not any(path.startswith("encoder") for path in params)
    assert {path.split("/")[0] for path in params} >= {
        "decoder_1",
        "decoder_2",
        "output",
    }
    stats = moved(before.batch_stats, after.batch_stats)
    assert stats
    assert not any(path.startswith("encoder") for path in stats)


@pytest.mark.slow
@pytest.mark.parametrize("mode", parallel.MODES)
def test_freezing_is_the_same_on_two_devices_and_with_stages_computed_again(mode):
    frozen = freezing.frozen_modules(MODEL, SHAPE, (), "encoder/level_2")
    before, expected = train(frozen, average_decay=0.9)
    _, after = train(frozen, average_decay=0.9, remat=True, mode=mode, devices=2)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5),
        (after.batch_stats, after.average),
        (expected.batch_stats, expected.average),
    )
    names = moved(
        (before.params, before.batch_stats), (after.params, after.batch_stats)
    )
    assert names
    assert not [name for name in names if "level_1" in name or "level_2" in name]


def test_up_to_a_level_freezes_what_comes_before_it_too():
    frozen = freezing.frozen_modules(MODEL, SHAPE, (), "encoder/level_2")
    before, after = train(frozen)
    for tree in ("params", "batch_stats"):
        names = moved(getattr(before, tree), getattr(after, tree))
        levels = {path.split("/")[1] for path in names if path.startswith("encoder")}
        assert levels == {"level_3"}


def test_up_to_the_head_freezes_everything():
    frozen = freezing.frozen_modules(MODEL, SHAPE, (), "output")
    before, after = train(frozen)
    assert not moved(
        (before.params, before.batch_stats), (after.params, after.batch_stats)
    )
    with pytest.raises(ValueError, match="nothing of the model to train"):
        freezing.require_trainable(MODEL, SHAPE, frozen)
    freezing.require_trainable(
        MODEL, SHAPE, freezing.frozen_modules(MODEL, SHAPE, ("encoder",), "")
    )


def test_what_is_frozen_keeps_its_moving_average_to_the_last_bit(with_frozen_encoder):
    before, after = with_frozen_encoder
    assert not any(
        path.startswith("encoder") for path in moved(before.average, after.average)
    )


def test_a_frozen_normalisation_goes_by_its_running_statistics(variables):
    frozen = freezing.frozen_modules(MODEL, SHAPE, (), "output")
    image = jnp.asarray(np.random.default_rng(0).normal(5, 2, SHAPE), jnp.float32)

    def train():
        apply = functools.partial(MODEL.apply, train=True, mutable=["batch_stats"])
        return jax.jit(apply)(variables, image)[0]

    expected = jax.jit(MODEL.apply)(variables, image)
    with freezing.standing_still(frozen):
        np.testing.assert_array_equal(train(), expected)
    assert (train() != expected).any()


def test_nothing_is_computed_backwards_for_what_is_frozen(variables):

    def cost(frozen):
        def objective(params):
            params = freezing.stop_gradients(params, frozen)
            return MODEL.apply({**variables, "params": params}, jnp.ones(SHAPE)).sum()

        compiled = jax.jit(jax.grad(objective)).lower(variables["params"]).compile()
        return compiled.cost_analysis()["flops"]

    frozen = freezing.frozen_modules(MODEL, SHAPE, ("encoder",), "")
    assert cost(frozen) < 0.8 * cost(frozenset())


def test_the_encoder_has_a_rate_of_its_own():
    before, after = train(encoder_rate=0.1, count=1)

    def largest(name):
        return max(
            float(jnp.abs(new - old).max())
            for old, new in zip(
                jax.tree.leaves(before.params[name]),
                jax.tree.leaves(after.params[name]),
                strict=True,
            )
        )

    # Adam's first step is the rate, but for the decay of 0.1 times the rate times a weight.
    assert largest("output") == pytest.approx(0.01, rel=0.15)
    assert largest("encoder") == pytest.approx(0.001, rel=0.15)


def test_weights_decay_at_the_rate_of_their_part_and_not_where_frozen(variables):
    params = jax.tree.map(jnp.ones_like, variables["params"])
    frozen = freezing.frozen_modules(MODEL, SHAPE, ("encoder/level_1",), "")
    optimizer = make_optimizer(frozen, encoder_rate=0.25)
    nothing = jax.tree.map(jnp.zeros_like, params)
    state = jax.jit(optimizer.init)(params)
    updates, _ = jax.jit(optimizer.update)(nothing, state, params)
    for path, update in jax.tree_util.tree_leaves_with_path(updates):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        rate = 0.0 if "level_1" in name else 0.0025 if "encoder" in name else 0.01
        decay = 0.1 if name.endswith("kernel") else 0.0
        np.testing.assert_allclose(update, -rate * decay, rtol=1e-6, err_msg=name)


def test_an_unknown_part_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match="decoder_1, decoder_2, encoder, output"):
        freezing.frozen_modules(MODEL, SHAPE, ("encodr",), "")
    with pytest.raises(ValueError, match="Near it: encoder/level_2"):
        freezing.frozen_modules(MODEL, SHAPE, (), "encoder/levl_2")
