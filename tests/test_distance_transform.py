"""Distances to a mask are SciPy's, for any spacing, batch and size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from brainseg_jax.metrics import distance_transform
from tests import mask_pairs

distances = jax.jit(distance_transform.distances)


def check(mask, spacing):
    expected = ndimage.distance_transform_edt(~mask, spacing)
    found = distances(mask, np.array(spacing, np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_distances_are_scipys():
    checked = 0
    for pred, truth, spacing in mask_pairs.all_pairs():
        for mask in (pred, truth):
            if mask.any():
                check(mask, spacing)
                checked += 1
    assert checked > 600


@pytest.mark.parametrize("shape", [(70, 45, 33), (300, 40), (3, 1, 257), (1, 1, 1)])
def test_lines_of_every_length_are_whole(shape):
    # Of 70 positions a block has 468 lines: four blocks, the last of which is not full.
    mask = np.random.default_rng(0).random(shape) < 0.001
    mask[(0,) * len(shape)] = True
    check(mask, (0.5, 1.25, 3.0)[: len(shape)])


def test_blocks_and_the_whole_are_the_same():
    lines = jnp.where(np.random.default_rng(0).random((50, 2000)) < 0.02, 0.0, jnp.inf)
    step = jnp.float32(0.7)
    whole = jax.jit(distance_transform._envelope)(lines, step)
    blocks = jax.jit(distance_transform._envelope_in_blocks)(lines, step)
    np.testing.assert_array_equal(blocks, whole)


def test_examples_of_a_batch_do_not_see_each_other():
    masks = np.random.default_rng(0).random((2, 3, 9, 8)) < 0.1
    spacing = np.ones(2, np.float32)
    one_by_one = [[distances(one, spacing) for one in row] for row in masks]
    np.testing.assert_array_equal(distances(masks, spacing), one_by_one)


def test_without_a_mask_everything_is_infinitely_far():
    empty = np.zeros((2, 5, 4), bool)
    empty[1, 2, 2] = True
    found = distances(empty, np.ones(2, np.float32))
    assert np.isinf(found[0]).all() and np.isfinite(found[1]).all()


def test_memory_of_a_whole_volume_is_bounded():
    # Every position against every other of its line would be 240 times as much.
    shape = (240, 240, 155)
    mask, spacing = (
        jax.ShapeDtypeStruct(shape, bool),
        jax.ShapeDtypeStruct((3,), np.float32),
    )
    compiled = distances.lower(mask, spacing).compile()
    one = 4 * np.prod(shape)
    assert compiled.memory_analysis().temp_size_in_bytes < 6 * one
