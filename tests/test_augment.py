"""Image and mask move together, each example by its own key alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from brainseg_jax.data import augment, normalise
from configs import base

OFF = {**dict.fromkeys(base.get_config().augment, 0.0), "fill": "edge"}
ALL = {
    **OFF,
    "probability": 1.0,
    "flip_horizontal": 0.5,
    "flip_vertical": 0.5,
    "rotation": 30.0,
    "shift": 0.1,
    "scale": 0.2,
    "shear": 10.0,
    "gamma": 0.3,
    "contrast": 0.2,
    "brightness": 0.2,
    "noise": 0.1,
}


def make_batch(count=8, shape=(20, 26)):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(count, *shape, 3)).astype(np.float32)
    share = rng.choice([0.0, 0.3, 1.0], (count, *shape, 2)).astype(np.float32)
    return {"image": jnp.asarray(image), "share": jnp.asarray(share)}


def keys(count=8, seed=0):
    return jax.random.split(jax.random.key(seed), count)


def augmented(keys, batch, options):
    """Compiled, as in a training step."""
    return jax.jit(functools.partial(augment.augment, options=options))(keys, batch)


def affine(matrix, shift=(0.0, 0.0)):
    return jnp.concatenate(
        [jnp.array(matrix, float), jnp.array(shift)[:, None]], axis=1
    )


def test_options_of_zero_change_nothing():
    batch = make_batch()
    for options in (OFF, {**ALL, "probability": 0.0}):
        after = augment.augment(keys(), batch, options)
        assert after["image"] is batch["image"] and after["share"] is batch["share"]


@pytest.mark.parametrize("name, axis", [("flip_vertical", 1), ("flip_horizontal", 2)])
def test_a_certain_flip_is_numpys(name, axis):
    batch = make_batch()
    after = augmented(keys(), batch, {**OFF, "probability": 1.0, name: 1.0})
    for part in ("image", "share"):
        np.testing.assert_array_equal(after[part], np.flip(batch[part], axis))


def test_a_quarter_turn_is_numpys():
    image = make_batch(1, (16, 16))["image"][0]
    turned = augment.sample_linear(image, affine([[0, -1], [1, 0]]))
    # Output row r, column c comes from row -c, column r: clockwise.
    np.testing.assert_allclose(turned, np.rot90(image, -1), atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_sampling_equals_scipy(seed):
    batch = make_batch(1, (24, 31))
    image, share = batch["image"][0], batch["share"][0]
    options = {**ALL, "shift": 0.05}
    move = augment.random_affine(jax.random.key(seed), (24, 31), options)
    matrix, shift = np.asarray(move[:, :2], float), np.asarray(move[:, 2], float)
    middle = (np.array([24, 31]) - 1) / 2
    offset = middle + shift - matrix @ middle
    scipy_affine = functools.partial(
        scipy.ndimage.affine_transform, matrix=matrix, offset=offset
    )
    for channel in range(3):
        expected = scipy_affine(image[..., channel], order=1, mode="nearest")
        found = augment.sample_linear(image, move)[..., channel]
        np.testing.assert_allclose(found, expected, atol=1e-3)
    # SciPy's constant begins at the middle of the last pixel, ours half a pixel further on.
    found = augment.sample_linear(share, move, jnp.full(2, 7.0))[..., 0]
    repeated = scipy_affine(share[..., 0], order=1, mode="nearest")
    filled = scipy_affine(share[..., 0], order=0, mode="grid-constant", cval=7.0) == 7
    assert ((found == 7) != filled).mean() < 0.02
    np.testing.assert_allclose(found[found != 7], repeated[found != 7], atol=1e-3)


@pytest.mark.parametrize(
    "fill, image, share", [("edge", 3.0, 0.5), ("empty", 1.0, 0.0)]
)
def test_image_and_share_have_the_fill_that_is_asked_for(fill, image, share):
    # Dark but for the first column, which is moved to the right by half the width.
    column = np.zeros((1, 8, 8, 1), np.float32)
    column[:, :, 0] = 1
    batch = {
        "image": jnp.asarray(1 + 2 * column),
        "share": jnp.asarray(0.5 * column),
    }
    options = {**OFF, "fill": fill, "probability": 1.0, "shift": 0.5}
    # The key whose shift goes furthest to the right.
    moves = [
        augment.random_affine(augment._fold(key[None], 0)[0], (8, 8), options)[1, 2]
        for key in keys(50)
    ]
    key = keys(50)[int(np.argmin(moves))][None]
    after = augmented(key, batch, options)
    assert float(after["image"][0, 4, 0, 0]) == image
    assert float(after["share"][0, 4, 0, 0]) == share


def test_shares_move_with_their_image():
    # A disc, bright in the image where it is in the mask.
    row, column = np.mgrid[:40, :40]
    disc = ((row - 14) ** 2 + (column - 22) ** 2 < 64)[None, ..., None]
    disc = np.repeat(disc, 8, axis=0)
    batch = {
        "image": jnp.asarray(disc, jnp.float32),
        "share": jnp.asarray(disc, jnp.float32),
    }
    spatial = {**ALL, "gamma": 0.0, "contrast": 0.0, "brightness": 0.0, "noise": 0.0}
    after = augmented(keys(), batch, spatial)
    np.testing.assert_array_equal(after["image"], after["share"])
    assert (
        (np.asarray(after["share"]) != np.asarray(batch["share"])).any((1, 2, 3)).all()
    )


@pytest.mark.parametrize("size", [1, 2, 4])
def test_an_example_depends_on_its_key_and_itself_alone(size):
    # Bit for bit, but for contrast and brightness: sums over an image are added up in an
    # order that depends on the batch's size, which moves the last bit.
    exact = {**ALL, "contrast": 0.0, "brightness": 0.0}
    batch, all_keys = make_batch(8, (64, 48)), keys()
    for options, tolerance in ((exact, 0.0), (ALL, 2e-6)):
        run = jax.jit(functools.partial(augment.augment, options=options))
        whole = run(all_keys, batch)
        for start in range(0, 8, size):
            part = slice(start, start + size)
            alone = run(all_keys[part], {name: x[part] for name, x in batch.items()})
            np.testing.assert_array_equal(alone["share"], whole["share"][part])
            np.testing.assert_allclose(
                alone["image"], whole["image"][part], rtol=0, atol=tolerance
            )


def test_equal_examples_with_other_keys_differ():
    batch = make_batch(1)
    twice = {name: jnp.repeat(x, 2, axis=0) for name, x in batch.items()}
    after = augmented(keys(2), twice, ALL)
    assert not np.allclose(after["image"][0], after["image"][1])


def test_a_batch_without_masks_keeps_its_other_entries():
    batch = {"image": make_batch()["image"], "label": jnp.arange(8)}
    after = augmented(keys(), batch, ALL)
    assert after.keys() == batch.keys()
    np.testing.assert_array_equal(after["label"], batch["label"])


def test_changes_cover_their_range_and_keep_to_it():
    options = {**OFF, "probability": 1.0, "rotation": 30.0, "scale": 0.2}
    draw = jax.vmap(lambda key: augment.random_affine(key, (64, 64), options))
    matrices = np.asarray(draw(keys(2000))[..., :2], float)
    zoom = 1 / np.sqrt(np.linalg.det(matrices))
    angle = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    for values, low, high in ((zoom, 0.8, 1.2), (angle, -30, 30)):
        assert values.min() >= low - 1e-3 and values.max() <= high + 1e-3
        assert values.min() < low + 0.02 * (high - low)
        assert values.max() > high - 0.02 * (high - low)


def test_probability_is_the_share_that_changes():
    batch = {"image": jnp.repeat(make_batch(1, (8, 8))["image"], 1000, axis=0)}
    options = {**OFF, "probability": 0.3, "brightness": 0.5}
    after = augmented(keys(1000), batch, options)
    share = (np.asarray(after["image"]) != np.asarray(batch["image"])).any((1, 2, 3))
    # Five standard deviations of a binomial: sqrt(0.3 * 0.7 / 1000) is 0.0145.
    assert share.mean() == pytest.approx(0.3, abs=0.075)


def test_gamma_keeps_the_range_and_the_order():
    image = make_batch(1)["image"]
    options = {**OFF, "probability": 1.0, "gamma": 1.0}
    after = np.asarray(augmented(keys(1), {"image": image}, options)["image"])
    assert after.min() == pytest.approx(float(image.min()), abs=1e-5)
    assert after.max() == pytest.approx(float(image.max()), abs=1e-5)
    order = np.argsort(np.asarray(image).ravel())
    assert (np.diff(after.ravel()[order]) >= 0).all()


def test_channels_fall_out_each_for_itself_but_never_all():
    batch = {"image": 1 + jnp.abs(jnp.repeat(make_batch(1)["image"], 4000, axis=0))}
    options = {**OFF, "channel_dropout": 0.5}
    after = np.asarray(augmented(keys(4000), batch, options)["image"])
    there = (after != 0).all((1, 2))
    np.testing.assert_array_equal(there, (after != 0).any((1, 2)))
    whole = np.where(there[:, None, None], np.asarray(batch["image"]), 0)
    np.testing.assert_array_equal(after, whole)
    assert there.any(1).all()
    # Of eight ways to fall out, one would leave none, and spares one of three instead.
    shares = there.mean(0)
    np.testing.assert_allclose(shares, 0.5 + 0.125 / 3, atol=0.04)


def make_volumes(count=8, shape=(4, 6, 5)):
    rng = np.random.default_rng(2)
    image = rng.normal(size=(count, *shape, 2)).astype(np.float32)
    share = rng.choice([0.0, 0.3, 1.0], (count, *shape, 1)).astype(np.float32)
    return {"image": jnp.asarray(image), "share": jnp.asarray(share)}


@pytest.mark.parametrize(
    "name, axis", [("flip_depth", 1), ("flip_vertical", 2), ("flip_horizontal", 3)]
)
def test_a_certain_flip_of_volumes_is_numpys(name, axis):
    batch = make_volumes()
    after = augmented(keys(), batch, {**OFF, "probability": 1.0, name: 1.0})
    for part in ("image", "share"):
        np.testing.assert_array_equal(after[part], np.flip(batch[part], axis))


def test_volumes_are_flipped_along_each_axis_on_its_own():
    options = {**OFF, "probability": 1.0, **dict.fromkeys(augment.FLIPS[3], 0.5)}
    batch = make_volumes(64)
    after = augmented(keys(64), batch, options)
    seen = set()
    for before, moved, share, moved_share in zip(
        batch["image"], after["image"], batch["share"], after["share"], strict=True
    ):
        for axes in [(), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]:
            if (np.flip(before, axes) == moved).all():
                seen.add(axes)
                np.testing.assert_array_equal(np.flip(share, axes), moved_share)
    assert len(seen) == 8


def test_intensities_of_volumes_change_per_channel():
    batch = make_volumes(2)
    options = {**OFF, "probability": 1.0, "contrast": 0.5}
    after = np.asarray(augmented(keys(2), batch, options)["image"])
    before = np.asarray(batch["image"])
    np.testing.assert_allclose(after.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=1e-6)
    ratio = after.std((1, 2, 3)) / before.std((1, 2, 3))
    assert len(np.unique(ratio.round(4))) == 4


def test_what_an_image_of_so_many_axes_cannot_do_is_refused():
    options = {**OFF, "probability": 1.0, "shear": 10.0}
    with pytest.raises(ValueError, match="augment.shear is 10.0.*3 axes"):
        augment.augment(keys(2), make_volumes(2), options)
    with pytest.raises(ValueError, match="augment.flip_depth is 0.5.*2 axes"):
        augment.check_options({**OFF, "flip_depth": 0.5}, 2)


def test_gamma_has_no_power_of_less_than_nothing():
    """As compiled for training: the least value came out below the image's minimum."""
    options = {**OFF, "probability": 1.0, "rotation": 20.0, "scale": 0.15}
    options |= {"shift": 0.06, "shear": 5.0, "flip_horizontal": 0.5, "gamma": 0.15}
    values = np.random.default_rng(0).integers(0, 300, (16, 32, 32, 1)).clip(40)
    scaling = np.float32([4, 2278, 405.92352, 522.3333])[:, None]
    scaling = np.broadcast_to(scaling, (16, 4, 1))

    def change(keys, image, scaling):
        return augment.augment(
            keys, {"image": normalise.apply(image, scaling)}, options
        )

    jax.config.update("jax_disable_most_optimizations", False)
    try:
        compiled = jax.jit(change)
        for seed in (4, 5, 9):
            own = jax.vmap(jax.random.fold_in, (None, 0))(
                jax.random.key(seed), jnp.arange(16)
            )
            moved = compiled(own, values.astype(np.uint16), scaling)["image"]
            assert np.isfinite(moved).all()
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
