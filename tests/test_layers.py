"""The shared layers against plain implementations, in 2D and 3D."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from brainseg_jax.models.parts import convolutions, layers, resampling

SPACES = pytest.mark.parametrize("space", [(6, 8), (5, 7), (4, 5, 6)], ids=str)


def noise(*shape, seed=0):
    """Normal values, no two the same."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain_max_pool(image):
    window = (2,) * (image.ndim - 2)
    return nn.max_pool(image, window_shape=window, strides=window)


@SPACES
def test_max_pool_is_that_of_flax(space):
    image = noise(2, *space, 3)
    np.testing.assert_array_equal(resampling.max_pool(image), plain_max_pool(image))


@SPACES
def test_without_ties_max_pool_has_the_gradient_of_flax(space):
    image = noise(2, *space, 3)
    ours, plain = (
        jax.grad(lambda image, pool=pool: jnp.sin(pool(image)).sum())(image)
        for pool in (resampling.max_pool, plain_max_pool)
    )
    np.testing.assert_array_equal(ours, plain)


def test_equal_pixels_share_the_gradient():
    # Four ties get a quarter each; of (5, 5, 1, 0) the two fives get a half each.
    image = jnp.array([[2.0, 2, 5, 5], [2, 2, 1, 0]]).reshape(1, 2, 4, 1)
    gradient = jax.grad(lambda image: resampling.max_pool(image).sum())(image)
    expected = [[0.25, 0.25, 0.5, 0.5], [0.25, 0.25, 0, 0]]
    np.testing.assert_array_equal(gradient[0, ..., 0], expected)


def test_upsampling_repeats_every_pixel():
    image = jnp.array([[1.0, 2], [3, 4]]).reshape(1, 2, 2, 1)
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    np.testing.assert_array_equal(
        resampling.upsample_nearest(image)[0, ..., 0], expected
    )


def test_upsampling_repeats_every_voxel():
    image = noise(2, 2, 3, 4, 5)
    double = resampling.upsample_nearest(image)
    assert double.shape == (2, 4, 6, 8, 5)
    for corner in np.ndindex(2, 2, 2):
        voxels = double[:, *(slice(start, None, 2) for start in corner)]
        np.testing.assert_array_equal(voxels, image)


def plain_conv1x1(image, kernel, bias):
    conv = nn.Conv(kernel.shape[-1], kernel.shape[:-2])
    return conv.apply({"params": {"kernel": kernel, "bias": bias}}, image)


@SPACES
def test_conv1x1_is_a_convolution(space):
    image, bias = noise(2, *space, 3), noise(4, seed=2)
    kernel = noise(*(1,) * len(space), 3, 4, seed=1)
    ours = convolutions.conv1x1(image, kernel, bias)
    np.testing.assert_allclose(ours, plain_conv1x1(image, kernel, bias), atol=1e-5)


@pytest.mark.parametrize("half", [(3, 4), (2, 3, 2)], ids=str)
def test_conv1x1_of_upsampled_is_that_of_the_concatenation(half):
    low, skip = noise(2, *half, 3), noise(2, *(2 * size for size in half), 5, seed=1)
    kernel, bias = noise(*(1,) * len(half), 8, 4, seed=2), noise(4, seed=3)

    def plain(low, skip, kernel, bias):
        both = jnp.concatenate([resampling.upsample_nearest(low), skip], axis=-1)
        return plain_conv1x1(both, kernel, bias)

    ours, expected = (
        jax.value_and_grad(
            lambda *args, conv=conv: jnp.sin(conv(*args)).sum(), argnums=(0, 1, 2, 3)
        )(low, skip, kernel, bias)
        for conv in (convolutions.conv1x1_of_upsampled, plain)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), ours, expected
    )


def test_one_kernel_takes_the_channels_of_all_images():
    low, skip = noise(1, 2, 2, 3), noise(1, 4, 4, 5)
    params = convolutions.Kernel1x1(7).init(jax.random.key(0), low, skip)["params"]
    shapes = jax.tree.map(jnp.shape, params)
    assert shapes == {"kernel": (1, 1, 8, 7), "bias": (7,)}


def test_a_kernel_starts_he_normal():
    # Variance 2 / in, by the fan-in of the convolution that the kernel belongs to.
    params = convolutions.Kernel1x1(400).init(jax.random.key(0), noise(1, 2, 2, 100))[
        "params"
    ]
    assert params["kernel"].std() == pytest.approx(np.sqrt(2 / 100), rel=0.02)
    assert not params["bias"].any()


def test_shapes_are_checked_against_annotations_here():
    image, kernel = noise(1, 2, 2, 3), noise(1, 1, 3, 4)
    with pytest.raises(jaxtyping.TypeCheckError, match="'bias'"):
        convolutions.conv1x1(image, kernel, noise(3))


class Normalised(nn.Module):
    style: layers.Style

    @nn.compact
    def __call__(self, image):
        return self.style.normalise(image, "norm")


def test_batch_norm_keeps_a_hundredth_of_each_batch():
    image = jnp.array([1.0, 3, 5, 7]).reshape(2, 1, 2, 1)  # mean 4, variance 5
    norm = Normalised(layers.Style(train=True))
    variables = norm.init(jax.random.key(0), image)
    normal, updated = norm.apply(variables, image, mutable=["batch_stats"])
    # From mean 0 and variance 1: 0.01 * 4, and 0.99 * 1 + 0.01 * 5.
    assert updated["batch_stats"]["norm"]["mean"] == pytest.approx(0.04)
    assert updated["batch_stats"]["norm"]["var"] == pytest.approx(1.04)
    expected = (np.array([1, 3, 5, 7]) - 4) / np.sqrt(5 + 1e-3)
    np.testing.assert_allclose(normal.ravel(), expected, rtol=1e-5)


def test_batch_norm_sums_in_float32():
    # A bfloat16 sum of ones stops at 256; the mean of 4096 of them must still be 1.
    image = jnp.ones((1, 64, 64, 1), jnp.bfloat16)
    norm = Normalised(layers.Style(train=True, dtype=jnp.bfloat16))
    normal, variables = norm.init_with_output(jax.random.key(0), image)
    _, updated = norm.apply(variables, image, mutable=["batch_stats"])
    assert normal.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(updated)} == {jnp.dtype("float32")}
    assert updated["batch_stats"]["norm"]["mean"] == pytest.approx(0.01)


KEYS = jax.random.split(jax.random.key(0), 4)


def test_dropout_does_not_depend_on_the_rest_of_the_batch():
    image = noise(4, 3, 5, 2)
    together = layers.dropout(image, 0.4, KEYS, "drop")
    alone = layers.dropout(image[2:3], 0.4, KEYS[2:3], "drop")
    backwards = layers.dropout(image[::-1], 0.4, KEYS[::-1], "drop")
    np.testing.assert_array_equal(alone, together[2:3])
    np.testing.assert_array_equal(backwards, together[::-1])


def test_dropout_zeroes_its_share_and_scales_up_the_rest():
    dropped = layers.dropout(jnp.ones((4, 50, 50, 1)), 0.2, KEYS, "drop")
    assert set(np.unique(dropped)) == {0, np.float32(1 / 0.8)}
    # 10,000 draws: a standard deviation of 0.004.
    assert (dropped == 0).mean() == pytest.approx(0.2, abs=0.02)


def test_dropout_differs_between_layers_and_between_examples():
    image = jnp.ones((4, 100))
    first, second = (layers.dropout(image, 0.5, KEYS, name) for name in ("a", "b"))
    assert (first != second).any(axis=1).all()
    assert len(np.unique(first, axis=0)) == 4


def test_dropout_keeps_the_type():
    image = jnp.ones((4, 3), jnp.bfloat16)
    assert layers.dropout(image, 0.5, KEYS, "drop").dtype == jnp.bfloat16


def test_a_size_that_can_be_halved_is_taken():
    layers.check_size(jnp.zeros((1, 32, 48, 3)), 4, "ResUNet")


@pytest.mark.parametrize(
    "space, sentence",
    [
        (
            (100, 128),
            "ResUNet halves its input 4 times, so height and width must be multiples "
            "of 16; got 100 x 128.",
        ),
        (
            (16, 32, 40),
            "ResUNet halves its input 4 times, so depth, height and width must be "
            "multiples of 16; got 16 x 32 x 40.",
        ),
    ],
)
def test_another_size_is_refused_with_the_multiple(space, sentence):
    with pytest.raises(ValueError) as refusal:
        layers.check_size(jnp.zeros((1, *space, 3)), 4, "ResUNet")
    assert str(refusal.value) == sentence
