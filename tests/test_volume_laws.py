"""Law 2 of volumes: neither devices nor parts of a batch change the mathematics."""

import functools

import jax
import numpy as np
import optax
import pytest

from brainseg_jax import parallel
from brainseg_jax.data import augment
from brainseg_jax.runs import experiment
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective, steps
from brainseg_jax.training.state import create_state
from tests.test_volume_moves import ALL

BATCH, SIZE = 8, (8, 12, 8)
REGIONS = {"WT": [1, 2, 4], "TC": [1, 4], "ET": 4}
PAINTING = (("WT", 2), ("TC", 1), ("ET", 4))
OPTIONS = {"widths": (4, 4, 6), "repeats": (1,), "deep_supervision": True}
AUGMENT = {**ALL, "contrast": 0.1, "brightness": 0.1, "channel_dropout": 0.2}


def make_batch(step):
    """Volumes of labels 0, 2, 1 and 4 within each other, brighter inside."""
    rng = np.random.default_rng(step)
    grid = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1)
    away = np.linalg.norm(grid - rng.uniform(2, 8, (BATCH, 1, 1, 1, 3)), axis=-1)
    regions = np.stack([away < radius for radius in (4, 3, 2)], -1)
    noise = rng.integers(0, 200, (BATCH, *SIZE, 2))
    return {
        "image": (noise + 400 * regions.sum(-1, keepdims=True)).astype(np.int16),
        "share": np.where(regions, 255, 0).astype(np.uint8),
        "scaling": np.tile([[0.0], [1400.0], [300.0], [250.0]], (BATCH, 1, 2)).astype(
            np.float32
        ),
        "label": np.zeros(BATCH, np.int32),
        "place": np.arange(BATCH, dtype=np.int32),
    }


@functools.cache
def trained(mode, count, accumulate=1):
    """Parameters, their averages and losses after five steps of SGD."""
    devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
    task = segmentation.make_task(
        REGIONS, exclusive=False, threshold=0.5, painting=PAINTING
    )
    model = experiment.make_model(
        "residual_unet3d",
        OPTIONS,
        outputs=task.outputs,
        dtype="float32",
        axis_name=devices.axis_name,
    )
    losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    optimizer = optax.sgd(0.05)
    state = create_state(
        model, optimizer, jax.random.key(1), (1, *SIZE, 2), average=True
    )
    step = devices.train_step(
        functools.partial(
            steps.train_step,
            model=model,
            optimizer=optimizer,
            loss=objective.make_loss(losses, task),
            augment=functools.partial(augment.augment, options=AUGMENT),
            mean=devices.mean,
            average_decay=0.9,
            accumulate=accumulate,
        )
    )
    state, found = devices.replicate(state), []
    for number in range(5):
        batch = devices.shard(make_batch(number))
        state, scalars = step(state, {}, batch, jax.random.key(0))
        found.append(float(scalars["loss"]))
    return jax.device_get((state.params, state.average)), found


def assert_near(found, expected, atol):
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=0, atol=atol),
        found,
        expected,
    )


ALONE = ("pmap", 1)
slow = pytest.mark.slow


@pytest.mark.parametrize(
    "mode, count",
    [
        pytest.param("pmap", 8),
        pytest.param("pmap", 2, marks=slow),
        pytest.param("mesh", 1, marks=slow),
        pytest.param("mesh", 2, marks=slow),
        pytest.param("mesh", 8, marks=slow),
    ],
)
def test_five_steps_on_volumes_agree_on_any_number_of_devices(mode, count):
    assert_near(trained(mode, count), trained(*ALONE), 1e-5)


@pytest.mark.parametrize(
    "mode, count, accumulate",
    [
        pytest.param("pmap", 1, 4, marks=slow),
        pytest.param("pmap", 2, 2, marks=slow),
        pytest.param("mesh", 4, 2, marks=slow),
        pytest.param("mesh", 1, 8, marks=slow),
    ],
)
def test_a_batch_in_parts_takes_the_step_of_the_whole(mode, count, accumulate):
    assert_near(trained(mode, count, accumulate), trained(*ALONE), 1e-5)


@slow
def test_volumes_are_learnt():
    # Or the laws above would hold of a step that does nothing.
    (params, average), losses = trained(*ALONE)
    assert len(set(losses)) == 5 and losses[-1] < losses[0]
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, average["params"])
    assert max(jax.tree.leaves(moved)) > 1e-3
