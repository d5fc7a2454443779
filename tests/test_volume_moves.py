"""Volumes and their masks move together, in three dimensions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from brainseg_jax.data import augment, intensities, volume_moves
from tests.test_augment import OFF, augmented, keys, make_volumes

SPATIAL = {
    **OFF,
    "probability": 1.0,
    **dict.fromkeys(volume_moves.FLIPS, 0.5),
    "rotation": 25.0,
    "shift": 0.1,
    "scale": 0.2,
}
ALL = {**SPATIAL, "low_resolution": 0.5, "gamma": 0.3, "noise": 0.1}


def ball(shape=(16, 18, 20), centre=(6, 10, 12), radius=4):
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return (np.linalg.norm(grid - np.array(centre), axis=-1) < radius)[..., None]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_quarter_turn_about_an_axis_is_numpys(axis):
    volume = jnp.asarray(np.random.default_rng(0).normal(size=(6, 6, 6, 2)))
    plane = volume_moves.AXES[axis]
    matrix = np.eye(3)
    matrix[np.ix_(plane, plane)] = [[0, -1], [1, 0]]
    affine = jnp.asarray(np.c_[matrix, np.zeros(3)])
    for sample in (volume_moves.sample_linear, volume_moves.sample_nearest):
        turned = np.rot90(volume, -1, plane)
        np.testing.assert_allclose(sample(volume, affine), turned, atol=1e-5)
    rotation = volume_moves._rotation(jnp.array(jnp.pi / 2), plane)
    np.testing.assert_allclose(rotation, matrix, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("seed", range(2))
def test_sampling_equals_scipy(seed, order):
    shape = (9, 12, 10)
    volume = np.random.default_rng(seed).normal(size=(*shape, 2)).astype(np.float32)
    move = volume_moves.random_affine(jax.random.key(seed), shape, SPATIAL)
    matrix, shift = np.asarray(move[:, :3], float), np.asarray(move[:, 3], float)
    middle = (np.array(shape) - 1) / 2
    offset = middle + shift - matrix @ middle
    sample = (volume_moves.sample_nearest, volume_moves.sample_linear)[order]
    found = sample(jnp.asarray(volume), move)
    for channel in range(2):
        expected = scipy.ndimage.affine_transform(
            volume[..., channel], matrix, offset, order=order, mode="nearest"
        )
        near = np.abs(found[..., channel] - expected) < 1e-3
        assert near.mean() > (0.995 if order == 0 else 0.9999)


def test_beyond_the_edge_lies_what_is_given():
    shifted = jnp.asarray(np.c_[np.eye(3), [0, 0, 2.0]])  # from two voxels further on
    volume = jnp.arange(4.0).reshape(1, 1, 4, 1)
    for sample in (volume_moves.sample_linear, volume_moves.sample_nearest):
        filled = sample(volume, shifted, jnp.array([9.0]))
        np.testing.assert_array_equal(filled.ravel(), [2, 3, 9, 9])
        edge = sample(volume, shifted)
        np.testing.assert_array_equal(edge.ravel(), [2, 3, 3, 3])


def test_turns_and_sizes_cover_their_range_and_keep_to_it():
    options = {**OFF, "probability": 1.0, "rotation": 30.0, "scale": 0.2}
    draw = jax.vmap(lambda key: volume_moves.random_affine(key, (8, 8, 8), options))
    matrices = np.asarray(draw(keys(2000))[..., :3], float)
    zoom = np.linalg.det(matrices) ** (-1 / 3)
    assert 0.8 - 1e-4 <= zoom.min() < 0.805 and 1.195 < zoom.max() <= 1.2 + 1e-4
    turns = matrices * zoom[:, None, None]
    np.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (2000, 1, 1)), atol=1e-5
    )
    # The product of turns about depth, height and width: the last one's angle, by atan2.
    angle = np.rad2deg(np.arctan2(-turns[:, 0, 1], turns[:, 0, 0]))
    assert -30.01 <= angle.min() < -28 and 28 < angle.max() <= 30.01
    unmoved = {**options, "probability": 0.0}
    np.testing.assert_array_equal(
        volume_moves.random_affine(jax.random.key(0), (8, 8, 8), unmoved),
        np.eye(3, 4),
    )


def test_a_mask_stays_one_and_moves_with_its_volume():
    volume = jnp.asarray(np.stack([ball()] * 4), jnp.float32)
    after = augmented(keys(4), {"image": volume, "share": volume}, SPATIAL)
    image, share = np.asarray(after["image"]), np.asarray(after["share"])
    assert set(np.unique(share)) == {0, 1}
    assert image[(image > 0) & (image < 1)].size > 0  # linear, beside nearest
    assert ((image > 0.5) != (share > 0)).sum() < 0.1 * share.sum()
    assert (share != np.asarray(volume)).any((1, 2, 3, 4)).all()


@pytest.mark.parametrize("size", [1, 4])
def test_a_volume_depends_on_its_key_and_itself_alone(size):
    batch, all_keys = make_volumes(8, (8, 12, 10)), keys()
    run = jax.jit(functools.partial(augment.augment, options=ALL))
    whole = run(all_keys, batch)
    for start in range(0, 8, size):
        part = slice(start, start + size)
        alone = run(all_keys[part], {name: x[part] for name, x in batch.items()})
        np.testing.assert_array_equal(alone["share"], whole["share"][part])
        np.testing.assert_allclose(
            alone["image"], whole["image"][part], rtol=0, atol=2e-6
        )


def test_equal_volumes_with_other_keys_differ():
    batch = {name: jnp.repeat(x[:1], 2, axis=0) for name, x in make_volumes().items()}
    after = augmented(keys(2), batch, SPATIAL)
    assert not np.allclose(after["image"][0], after["image"][1])


def test_the_full_resolution_changes_nothing():
    image = make_volumes(1)["image"][0]
    np.testing.assert_array_equal(intensities.coarsen(image, jnp.array(1.0)), image)


def test_half_the_resolution_by_hand():
    # Of 0, 9, 2, 9, 4 every other one is seen, and between two their mean.
    image = jnp.array([0.0, 9, 2, 9, 4]).reshape(5, 1)
    half = intensities.coarsen(image, jnp.array(0.5))
    np.testing.assert_array_equal(half.ravel(), [0, 1, 2, 3, 4])


def test_resolution_is_lost_along_every_axis_of_slices_and_volumes():
    options = {**OFF, "probability": 1.0, "low_resolution": 0.7}
    for shape in ((24, 24, 1), (12, 12, 12, 1)):
        noise = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
        after = augmented(keys(4), {"image": jnp.asarray(noise)}, options)["image"]
        for axis in range(1, len(shape)):
            before, rough = (
                np.abs(np.diff(np.asarray(x), axis=axis)).mean((*range(1, len(shape)),))
                for x in (noise, after)
            )
            assert (rough < before).all()
