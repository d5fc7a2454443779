"""From an image of any size to probabilities on any grid; measuring comes after."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from brainseg_jax.inference import steps
from brainseg_jax.metrics import overlap
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective

TASK = segmentation.make_task({"tumour": 1}, exclusive=False, threshold=0.5)
SCALING = jnp.array([[0.0], [100.0], [50.0], [10.0]])[None]


class FirstColumn(nn.Module):
    """Logits that are the image, doubled in its first column: no mirror leaves it alone."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        return image.at[..., 0, :].multiply(2)


@pytest.fixture
def run():
    return functools.partial(
        steps.probabilities,
        {},
        scaling=SCALING,
        model=FirstColumn(),
        task=TASK,
        mirror=(),
    )


def images(shape, dtype=np.uint8):
    rng = np.random.default_rng(0)
    return rng.integers(20, 90, (1, *shape, 1)).astype(dtype)


def logits_of(image):
    logits = (image.astype(float) - 50) / 10
    logits[..., 0, :] *= 2
    return logits


@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_an_image_of_any_size_and_dtype_has_probabilities_on_its_own_grid(
    run, shape, dtype
):
    image = images(shape, dtype)
    expected = 1 / (1 + np.exp(-logits_of(image)))
    np.testing.assert_allclose(run(image, grid=shape), expected, rtol=1e-5)


def test_a_larger_grid_has_probabilities_in_between(run):
    image = np.array([[20, 80]], np.uint8)[None, ..., None]
    # Logits -6 and 3; of four columns the inner ones lie a quarter of the way.
    low, high = 1 / (1 + np.exp([6.0, -3.0]))
    expected = [low, 0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high, high]
    np.testing.assert_allclose(run(image, grid=(1, 4)).ravel(), expected, rtol=1e-5)


@pytest.mark.parametrize("mirror, axis", [("horizontal", 3), ("depth", 1)])
def test_mirror_images_of_volumes_are_turned_back_and_averaged(run, mirror, axis):
    image = images((3, 4, 6), np.int16)
    there = jnp.flip(run(np.flip(image, axis), grid=(3, 4, 6)), axis)
    expected = (run(image, grid=(3, 4, 6)) + there) / 2
    found = run(image, grid=(3, 4, 6), mirror=(mirror,))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_is_measured_are_the_probabilities_on_the_masks_grid(run):
    image = images((4, 6))
    mask = np.random.default_rng(1).integers(0, 2, (1, 8, 12, 1)).astype(np.uint8)
    batch = jax.tree.map(
        jnp.asarray, {"image": image, "scaling": SCALING, "mask": mask}
    )
    loss = objective.make_loss({"cross_entropy": {"weight": 1.0}}, TASK)
    apply = functools.partial(steps.eval_step, model=FirstColumn(), task=TASK)
    found = apply({}, {}, batch, loss=loss, mirror=())
    decided = run(image, grid=(8, 12)) > 0.5
    expected = overlap.counts(decided, batch["mask"] > 0)
    jax.tree.map(np.testing.assert_array_equal, found["measured"], expected)
