"""Heads, preprocessing and dropped blocks of the classifiers; published sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models import (
    cnn,
    efficientnet_b0,
    efficientnet_lite0,
    resnet50,
    vgg16,
)
from brainseg_jax.models.parts import convolutions, efficientnet, preprocessing


def noise(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=shape), jnp.float32)


def test_what_is_trained_of_a_published_efficientnet():
    init = efficientnet_b0.Model(4).init
    variables = jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, 150, 150, 3)))
    counts = {
        name: sum(x.size for x in jax.tree.leaves(tree))
        for name, tree in variables.items()
    }
    assert counts == {"params": 4_012_672, "batch_stats": 42_023}


@pytest.mark.parametrize(
    "model, size, message",
    [
        (cnn.Model(1), (8, 7), "This CNN needs .* of at least 8; got 8 x 7"),
        (vgg16.Model(1), (31, 64), "VGG16 needs .* of at least 32; got 31 x 64"),
        (resnet50.Model(1), (127, 128), "ResNet50 needs .* of at least 128; got 127 x"),
        (
            efficientnet_lite0.Model(1),
            (32, 16),
            "Lite0 needs .* of at least 32; got 32",
        ),
    ],
)
def test_an_image_of_which_nothing_would_be_left_is_refused(model, size, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *size, 3)))


@pytest.mark.parametrize(
    "model, message",
    [
        (vgg16.Model(1, "imagenet"), "'imagenet'; it can be none, caffe, torch"),
        (efficientnet_b0.Model(1, "caffe"), "'caffe'; it can be none, imagenet"),
        (
            resnet50.Model(1, variant="pytorch"),
            "variant is 'pytorch'; .* keras, torchvision",
        ),
        (vgg16.Model(1, head_init="he"), "head_init is 'he'; it can be he_normal,"),
        (
            vgg16.Model(1, encoder_init="he"),
            "encoder_init is 'he'; it can be he_normal,",
        ),
    ],
)
def test_an_unknown_option_is_answered_with_the_known(model, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 128, 128, 3)))


@pytest.mark.parametrize("mode", ["caffe", "torch"])
def test_preprocessing_is_that_of_keras(keras, mode):
    image = noise(2, 4, 5, 3)
    expected = keras.applications.imagenet_utils.preprocess_input(
        255 * image, mode=mode
    )
    ours = preprocessing.preprocess(image, mode, vgg16.PREPROCESSING)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_are_treated_with_the_colours_mean(channels):
    image = noise(2, 4, 5, channels)
    ours = preprocessing.preprocess(image, "caffe", vgg16.PREPROCESSING)
    # (103.939 + 116.779 + 123.68) / 3 = 114.7993, in the order they came.
    np.testing.assert_allclose(ours, 255 * image - 114.7993, atol=1e-3)
    same = preprocessing.preprocess(image, "none", vgg16.PREPROCESSING)
    assert same is image


def block(train):
    """A residual block that is dropped for half of the examples."""
    style = efficientnet.make_style("silu", train, jnp.float32, None)
    stage = efficientnet.Stage(size=3, repeats=1, features=4, strides=1)
    return efficientnet.InvertedResidual(stage, 1, 6, 0.25, 0.5, False, style)


def test_a_block_is_dropped_whole_for_some_examples():
    image = noise(64, 4, 4, 4)
    variables = block(False).init(jax.random.key(0), image)
    keys = jax.random.split(jax.random.key(1), 64)
    (_, kept), _ = block(True).apply(variables, image, keys, mutable=["batch_stats"])
    rest = kept - image
    dropped = (rest == 0).all((1, 2, 3))
    assert 16 < dropped.sum() < 48
    # Half are left, so they count twice; dropping comes after the last statistics.
    whole = block(True).clone(drop=0.0)
    (_, expected), _ = whole.apply(variables, image, mutable=["batch_stats"])
    expected = jnp.where(dropped[:, None, None, None], 0, 2 * (expected - image))
    np.testing.assert_allclose(rest, expected, atol=1e-5)


def test_outside_training_no_block_is_dropped():
    image = noise(3, 4, 4, 4)
    variables = block(False).init(jax.random.key(0), image)
    _, result = block(False).apply(variables, image)
    _, expected = block(False).clone(drop=0.0).apply(variables, image)
    np.testing.assert_array_equal(result, expected)


def test_in_training_the_built_in_normalisation_stays():
    image = noise(2, 4, 5, 3)
    module = efficientnet_b0.Normalization()
    variables = module.init(jax.random.key(0), image)
    np.testing.assert_array_equal(module.apply(variables, image), image)
    mean, var = jnp.array([0.1, 0.2, 0.3]), jnp.array([1.0, 4.0, 9.0])
    loaded = {"batch_stats": {**variables["batch_stats"], "mean": mean, "var": var}}
    result, updated = module.apply(loaded, image, mutable=["batch_stats"])
    expected = (image - mean.reshape(1, 1, 1, 3)) / jnp.sqrt(var).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, updated, loaded)


def test_kernels_of_efficientnet_start_as_wide_as_in_keras():
    key = jax.random.key(0)
    depthwise = efficientnet.DEPTHWISE_INIT(key, (5, 5, 1, 4000))
    assert depthwise.std() == pytest.approx(np.sqrt(2 / 25), rel=0.02)
    conv = convolutions.INITIALISERS["he_normal_out"](key, (3, 3, 16, 600))
    assert conv.std() == pytest.approx(np.sqrt(2 / (9 * 600)), rel=0.02)


def test_pooling_of_resnet_is_that_with_a_margin_of_minus_infinity():
    image = jax.nn.relu(noise(2, 7, 10, 3) - 0.5)
    window = (1, 3, 3, 1)
    margins = ((0, 0), (1, 1), (1, 1), (0, 0))
    expected = jax.lax.reduce_window(
        image, -jnp.inf, jax.lax.max, window, (1, 2, 2, 1), margins
    )
    np.testing.assert_array_equal(resnet50.max_pool_3x3(image), expected)


@pytest.mark.slow
def test_hes_kernels_bring_an_image_through_vgg16():
    """At random weights, how much the last tap differs between images of noise."""
    images, spread = noise(4, 32, 32, 1), {}
    for init in ("glorot_uniform", "he_normal"):
        encoder = vgg16.Encoder(kernel_init=init)
        taps, _ = jax.jit(encoder.init_with_output)(jax.random.key(0), images)
        spread[init] = float(taps["block5_conv3"].std(0).mean())
    # Twice the variance at each of 13 layers, and more where the channels double.
    ratio = spread["he_normal"] / spread["glorot_uniform"]
    assert 2 ** (13 / 2) < ratio < 2 ** (13 / 2) * 100
