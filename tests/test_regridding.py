"""Probabilities on another grid: by hand, as scipy has them, slab by slab as at once."""

import numpy as np
import pytest
from scipy import ndimage

from brainseg_jax.inference import regridding


def whole(values, grid, depths):
    """All of a new grid from slabs of these depths; 0 around its box."""
    starts = np.cumsum([0, *depths])[:-1]
    slabs = [
        (int(at), values[at : at + n]) for at, n in zip(starts, depths, strict=True)
    ]
    found = np.zeros((*grid.shape, values.shape[-1]), np.float32)
    for start, slab in regridding.regrid(iter(slabs), grid.lines):
        found[grid.box][start : start + len(slab)] = slab
    return found


def test_a_line_by_hand():
    grid = regridding.make_grid((2, 1), (4, 1))
    values = np.array([0.0, 1.0], np.float32).reshape(2, 1, 1)
    # Middles at 0.25, 0.75, 1.25, 1.75 of old voxels whose own are 0.5 and 1.5.
    assert whole(values, grid, [2]).ravel().tolist() == [0, 0.25, 0.75, 1]


@pytest.mark.parametrize("new", [(7, 9, 5), (14, 3, 5), (3, 20, 11), (1, 1, 1)])
@pytest.mark.parametrize("depths", [[7], [1] * 7, [3, 1, 3]])
def test_slabs_give_what_scipy_gives_of_all(new, depths):
    values = np.random.default_rng(0).random((7, 9, 5, 2)).astype(np.float32)
    found = whole(values, regridding.make_grid(values.shape[:3], new), depths)
    scale = np.array(values.shape[:3]) / new
    for output in range(2):
        expected = ndimage.affine_transform(
            values[..., output], scale, 0.5 * scale - 0.5, new, order=1, mode="nearest"
        )
        np.testing.assert_allclose(found[..., output], expected, atol=1e-5)


def test_around_a_box_there_is_nothing():
    values = np.ones((2, 1, 3, 1), np.float32)
    box = (slice(1, 3), slice(0, 1), slice(2, 5))
    found = whole(values, regridding.make_grid((4, 1, 6), (8, 1, 4), box), [1, 1])
    assert found.shape == (8, 1, 4, 1)
    # Old 1 and 2 of 4 are new 2 to 5 of 8; the new middles 0.75, 2.25, 3.75, 5.25 of the
    # last axis lie in the old voxels 0, 2, 3 and 5.
    expected = np.zeros((8, 1, 4))
    expected[2:6, :, 1:3] = 1
    np.testing.assert_array_equal(found[..., 0], expected)


def test_a_box_between_the_middles_of_a_coarser_grid_has_no_voxel_of_it():
    values = np.ones((1, 3, 1), np.float32)
    grid = regridding.make_grid((9, 3), (1, 3), (slice(0, 1), slice(0, 3)))
    assert not whole(values, grid, [1]).any()


def test_a_ball_comes_back_rounder_than_by_the_nearest_label():
    fine = np.indices((40, 40, 40)) - 19.5
    ball = (fine**2).sum(0) < 15.3**2  # in voxels of 1, seen in voxels of 2 x 4 x 5
    shares = ball.reshape(20, 2, 10, 4, 8, 5).mean((1, 3, 5)).astype(np.float32)
    grid = regridding.make_grid(shares.shape, ball.shape)
    brought_back = whole(shares[..., None], grid, [20])[..., 0] >= 0.5
    nearest = np.kron(shares >= 0.5, np.ones((2, 4, 5), bool))
    dice = [2 * (one & ball).sum() / (one.sum() + ball.sum())
            for one in (nearest, brought_back)]  # fmt: skip
    assert dice[1] > dice[0] + 0.03 and dice[1] > 0.95
