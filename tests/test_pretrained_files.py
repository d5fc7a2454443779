"""Files of weights: what is made of their names and shapes, and which are refused."""

import numpy as np
import pytest

from brainseg_jax.models import resnet50, vgg16
from brainseg_jax.models.parts import encoders
from brainseg_jax.weights import pretrained
from tests import weight_writers
from tests.published_weights import ONE_KERNEL, STEM, shapes, write_torchvision


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
