"""Averaged weights are evaluated with batch statistics of their own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax import parallel
from brainseg_jax.models import unet
from brainseg_jax.training import freezing, steps
from brainseg_jax.training.state import create_state

SHAPE, BATCHES = (8, 8, 8, 3), 3
MODEL = unet.Model(1, widths=(4, 6))


def make_batch(number):
    rng = np.random.default_rng(number)
    return {
        "image": rng.integers(0, 255, SHAPE).astype(np.uint8),
        "scaling": np.tile([[0], [255], [100], [60]], (8, 1, 3)).astype(np.float32),
        "place": np.arange(8, dtype=np.int32),
    }


def fresh_state(**options):
    """A state whose averaged weights differ from those that train."""
    model = MODEL.clone(**options)
    state = create_state(
        model, optax.sgd(0.1), jax.random.key(0), (1, *SHAPE[1:]), average=True
    )
    other = jax.tree.map(lambda leaf: leaf + 0.1, state.average["params"])
    return model, state.replace(average={**state.average, "params": other})


@functools.cache
def refreshed(mode, count, frozen=frozenset()):
    """Statistics of the averaged weights after a few batches on `count` devices."""
    devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
    model, state = fresh_state(axis_name=devices.axis_name)
    step = devices.train_step(
        functools.partial(steps.refresh_step, model=model, frozen=frozen)
    )
    counted = devices.replicate((state, jnp.int32(0)))
    for number in range(BATCHES):
        batch = devices.shard(make_batch(number))
        counted, _ = step(counted, {}, batch, jax.random.key(1))
    return jax.device_get(counted[0])


def test_they_are_the_mean_of_those_of_the_batches():
    _, state = fresh_state()
    first = state.average["params"]["encoder"]["level_1"]["conv_1"]
    means, variances = [], []
    for number in range(BATCHES):
        image = (make_batch(number)["image"].astype(np.float32) - 100) / 60
        convolved = jax.lax.conv_general_dilated(
            image, first["kernel"], (1, 1), "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ) + first["bias"].reshape(1, 1, 1, -1)  # fmt: skip
        means.append(convolved.mean((0, 1, 2)))
        variances.append(convolved.var((0, 1, 2)))
    found = refreshed("pmap", 1).average["batch_stats"]["encoder"]["level_1"]["norm_1"]
    np.testing.assert_allclose(found["mean"], np.mean(means, 0), atol=1e-5)
    np.testing.assert_allclose(found["var"], np.mean(variances, 0), rtol=1e-4)


def test_nothing_else_changes_and_the_old_ones_leave_no_trace():
    _, state = fresh_state()
    found = refreshed("pmap", 1)
    jax.tree.map(np.testing.assert_array_equal, found.batch_stats, state.batch_stats)
    jax.tree.map(
        np.testing.assert_array_equal, found.average["params"], state.average["params"]
    )
    devices = parallel.Devices("pmap", tuple(jax.devices()[:1]))
    step = devices.train_step(
        functools.partial(steps.refresh_step, model=MODEL.clone(axis_name="devices"))
    )
    counted = devices.replicate((found, jnp.int32(0)))
    for number in range(BATCHES):
        batch = devices.shard(make_batch(number))
        counted, _ = step(counted, {}, batch, jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, counted[0].average, found.average)


@pytest.mark.parametrize("mode, count", [("pmap", 8), ("mesh", 1), ("mesh", 2)])
def test_they_are_the_same_on_any_number_of_devices(mode, count):
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
        refreshed(mode, count).average,
        refreshed("pmap", 1).average,
    )


def test_frozen_ones_stay_as_they_are():
    model, state = fresh_state()
    frozen = freezing.frozen_modules(model, SHAPE, ("encoder",), "")
    found = refreshed("mesh", 2, frozen).average["batch_stats"]
    expected = state.average["batch_stats"]
    jax.tree.map(np.testing.assert_array_equal, found["encoder"], expected["encoder"])
    norms = [of["decoder_1"]["block"]["norm_1"]["mean"] for of in (found, expected)]
    assert (norms[0] != norms[1]).all()
