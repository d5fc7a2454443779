"""Law 2: the number of devices never changes the mathematics."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax import parallel
from brainseg_jax.data import augment, inputs
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.models.parts import kernel_gradients
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.runs import experiment
from brainseg_jax.tasks import (
    classification,
    segmentation,
    segmentation_and_classification,
)
from brainseg_jax.training import objective, steps
from brainseg_jax.training.state import create_state

BATCH, SIZE = 8, 16
LABELS = ("no tumour", "tumour")
MODES = ("pmap", "mesh")
AUGMENT = {
    "probability": 1.0,
    "flip_horizontal": 0.5,
    "flip_vertical": 0.0,
    "rotation": 15.0,
    "shift": 0.1,
    "scale": 0.1,
    "shear": 0.0,
    "fill": "edge",
    "low_resolution": 0.0,
    "gamma": 0.2,
    "contrast": 0.1,
    "brightness": 0.1,
    "noise": 0.1,
    "channel_dropout": 0.0,
}


def make_batch(step):
    rng = np.random.default_rng(step)
    image = rng.integers(0, 255, (BATCH, SIZE, SIZE, 3)).astype(np.uint8)
    scaling = np.tile([[0.0], [255.0], [127.0], [70.0]], (BATCH, 1, 3))
    return {
        "image": image,
        "share": np.where(image[..., :1] > 180, 255, 0).astype(np.uint8),
        "scaling": scaling.astype(np.float32),
        "label": rng.integers(0, 2, BATCH).astype(np.int32),
        "place": np.arange(BATCH, dtype=np.int32),
    }


@functools.cache
def trained(optimizer_name, mode, count, widths=(4, 6)):
    """State and losses after five steps on `count` devices."""
    devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
    task = segmentation.make_task({"tumour": 255}, exclusive=False, threshold=0.5)
    model = experiment.make_model(
        "resunet",
        {"widths": widths},
        outputs=task.outputs,
        dtype="float32",
        axis_name=devices.axis_name,
    )
    optimizer = {"sgd": optax.sgd(0.05), "adam": optax.adam(1e-3)}[optimizer_name]
    state = create_state(
        model, optimizer, jax.random.key(1), (1, SIZE, SIZE, 3), average=True
    )
    step = devices.train_step(
        functools.partial(
            steps.train_step,
            model=model,
            optimizer=optimizer,
            loss=objective.make_loss(
                {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}, task
            ),
            augment=functools.partial(augment.augment, options=AUGMENT),
            mean=devices.mean,
            average_decay=0.9,
        )
    )
    state, losses = devices.replicate(state), []
    for number in range(5):
        batch = devices.shard(make_batch(number))
        state, scalars = step(state, {}, batch, jax.random.key(0))
        losses.append(float(scalars["loss"]))
    return jax.device_get(state), losses


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [1, 2, 8])
def test_five_sgd_steps_agree_on_any_number_of_devices(mode, count):
    expected, _ = trained("sgd", "pmap", 1)
    found, _ = trained("sgd", mode, count)
    for name in ("params", "batch_stats", "average"):
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5),
            getattr(found, name),
            getattr(expected, name),
        )


@pytest.mark.slow
@pytest.mark.parametrize("mode, count", [("pmap", 2), ("pmap", 8), ("mesh", 8)])
def test_wide_nets_agree_where_kernels_have_other_gradients_on_a_device(mode, count):
    image, kernel = (BATCH, SIZE // 2, SIZE // 2, 64), (3, 3, 64, 64)
    whole = kernel_gradients.fastest(image, kernel, "float32")
    part = kernel_gradients.fastest((BATCH // count, *image[1:]), kernel, "float32")
    assert whole != part
    expected, _ = trained("sgd", "pmap", 1, widths=(32, 64))
    found, _ = trained("sgd", mode, count, widths=(32, 64))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5),
        (found.params, found.batch_stats),
        (expected.params, expected.batch_stats),
    )


def classifier():
    """Its dropout draws a mask for each example, whatever device it is on."""
    task = classification.make_task(LABELS, exclusive=False, threshold=0.5)
    loss = objective.make_loss({"cross_entropy": {"weight": 1.0}}, task)
    return "cnn", {"widths": (4, 6), "hidden": (8,)}, task, loss


def net_of_two_heads():
    task = segmentation_and_classification.make_task(
        {"tumour": 255}, LABELS, exclusive=False, threshold=0.5
    )
    weighted = Heads({"dice": {"weight": 1.0}}, {"cross_entropy": {"weight": 0.5}})
    loss = objective.join(weighted.map(objective.make_loss, task.heads))
    return "two_headed_unet", {"widths": (4, 6)}, task, loss


@functools.cache
def measured(kind, mode, count):
    """Parameters and statistics after three steps, and what is measured then."""
    devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
    name, options, task, loss = kind()
    model = experiment.make_model(
        name,
        options,
        outputs=task.outputs,
        dtype="float32",
        axis_name=devices.axis_name,
    )
    optimizer = optax.sgd(0.05)
    state = create_state(model, optimizer, jax.random.key(1), (1, SIZE, SIZE, 3))
    step = devices.train_step(
        functools.partial(
            steps.train_step,
            model=model,
            optimizer=optimizer,
            loss=loss,
            augment=functools.partial(augment.augment, options=AUGMENT),
            mean=devices.mean,
            average_decay=0.0,
        )
    )
    state = devices.replicate(state)
    for number in range(3):
        batch = devices.shard(make_batch(number))
        state, _ = step(state, {}, batch, jax.random.key(0))
    evaluate = devices.eval_step(
        functools.partial(
            inference_steps.eval_step, model=model, task=task, loss=loss, mirror=()
        )
    )
    batch = make_batch(9)
    batch["mask"] = batch.pop("share")
    found = devices.gather(evaluate(state.evaluated, {}, devices.shard(batch)))
    return jax.device_get(state.variables), found


@pytest.mark.parametrize(
    "kind, mode, count",
    [
        (classifier, "pmap", 8),
        (net_of_two_heads, "mesh", 2),
        pytest.param(classifier, "mesh", 2, marks=pytest.mark.slow),
        pytest.param(net_of_two_heads, "pmap", 8, marks=pytest.mark.slow),
    ],
)
def test_labels_are_learnt_alike_on_any_number_of_devices(kind, mode, count):
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5),
        measured(kind, mode, count),
        measured(kind, "pmap", 1),
    )


# A bias before BatchNorm has no gradient, and Adam makes a full step of its rounding:
# weights may differ where losses do not.
@pytest.mark.parametrize(
    "mode, count",
    [
        ("mesh", 8),
        *(
            pytest.param(mode, count, marks=pytest.mark.slow)
            for mode, count in (("pmap", 2), ("pmap", 8), ("mesh", 1), ("mesh", 2))
        ),
    ],
)
def test_adam_losses_agree_on_any_number_of_devices(mode, count):
    _, expected = trained("adam", "pmap", 1)
    _, found = trained("adam", mode, count)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_training_moves_weights_and_statistics():
    # Or the laws above would hold of a step that does nothing.
    state, losses = trained("sgd", "pmap", 1)
    fresh = jax.tree.leaves(state.batch_stats)
    assert any(np.abs(leaf).max() > 0.05 for leaf in fresh)
    assert len(set(losses)) == 5


@pytest.mark.parametrize("mode", MODES)
def test_resident_data_gives_the_same_step_as_batches_from_the_host(mode):
    devices = parallel.Devices(mode, tuple(jax.devices()[:2]))
    whole = make_batch(0)
    resident = devices.replicate(
        {name: whole[name] for name in ("image", "share", "scaling")}
    )
    chosen = np.array([3, 1, 7, 5], np.int32)

    def gather(*arguments):
        def step(variables, resident, batch):
            return inputs.assemble(resident, batch)

        return devices.eval_step(step)(*arguments)

    variables = devices.replicate({"params": jnp.zeros(1)})
    by_index = gather(variables, resident, devices.shard({"index": chosen}))
    by_value = gather(
        variables,
        {},
        devices.shard({n: whole[n][chosen] for n in ("image", "share", "scaling")}),
    )
    for name in ("image", "share"):
        np.testing.assert_array_equal(
            devices.gather(by_index)[name], devices.gather(by_value)[name]
        )


def test_the_second_step_does_not_compile_again():
    devices = parallel.Devices("pmap", tuple(jax.devices()[:2]))
    traced = []

    def step(state, resident, batch, rng):
        traced.append(1)
        return state + devices.mean(batch["x"].sum()), {}

    run = devices.train_step(step)
    state = devices.replicate(jnp.zeros(()))
    for _ in range(3):
        batch = devices.shard({"x": np.ones(4, np.float32)})
        state, _ = run(state, {}, batch, jax.random.key(0))
    assert len(traced) == 1
    assert float(state) == 3 * 2  # each device sums two ones, the mean of both is 2


def test_a_batch_that_does_not_split_is_refused():
    with pytest.raises(
        ValueError, match=r"batch_size=12 does not split over 8 devices"
    ):
        parallel.local_devices("pmap", 12)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="'jit'; it can be pmap or mesh"):
        parallel.local_devices("jit", 8)


@pytest.mark.parametrize(("least", "options"), [(False, 1), (True, None)])
def test_a_cpu_compiles_by_a_lower_level_unless_the_least_is_asked_for(least, options):
    asked = []

    class Lowered:
        def compile(self, compiler_options):
            asked.append(compiler_options)

    before = jax.config.values[parallel.LEAST]
    jax.config.update(parallel.LEAST, least)
    try:
        parallel.compiled(Lowered())
    finally:
        jax.config.update(parallel.LEAST, before)
    assert asked == [options and {"xla_backend_optimization_level": options}]
