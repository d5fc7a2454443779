"""The U-Nets against the published ones, each built of Keras layers."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models import attention_unet, encoder_unet, unet, unet_plus_plus
from tests.keras_unets import (
    BUDA,
    RATES,
    WIDTHS,
    adityajn105,
    attention,
    nested,
    system_000,
    system_004,
    vanilla,
    without_skips,
)
from tests.keras_weights import ours, randomise

# Module, published form -> Keras's net, trainable parameters.
NETS = {
    (unet, "system 000, reconstructed"): (vanilla, 31_043_521),
    (unet, "system 004"): (system_004, 2_160_129),
    (unet, "system 004, dropout"): (
        lambda keras: vanilla(keras, WIDTHS, norm=False, dropout=RATES),
        1_940_817,
    ),
    (unet, "adityajn105"): (adityajn105, 22_716_609),
    (unet, "Buda et al. 2019"): (
        lambda keras: vanilla(keras, BUDA, bias=False, epsilon=1e-5),
        7_763_041,
    ),
    (unet_plus_plus, "system 004"): (without_skips, 1_964_289),
    (unet_plus_plus, "with its skips (ours)"): (nested, 2_550_561),
    (attention_unet, "system 004"): (attention, 1_996_813),
}


def noise(shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    "module, form",
    [
        pytest.param(*net, marks=[pytest.mark.slow] * (trainable > 5_000_000))
        for net, (_, trainable) in NETS.items()
    ],
)
def test_a_net_is_the_published_one(keras, module, form):
    draw, trainable = NETS[module, form]
    parameters, shape, outputs, options = module.PUBLISHED[form]
    model = module.Model(outputs, **options)
    net = randomise(draw(keras))
    image = noise((2, *net.input_shape[1:]))
    variables = ours(net.weights)
    expected_shapes = jax.eval_shape(model.init, jax.random.key(0), image)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(
        lambda leaf: leaf.shape, expected_shapes
    )
    assert net.count_params() == parameters
    assert net.input_shape[-1] == shape[-1]
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == trainable
    logits = jax.jit(model.apply)(variables, image)
    expected = jax.jit(lambda image: net(image, training=False))(image)
    assert 0.01 < expected.std() < 100
    np.testing.assert_allclose(logits, expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    "form, share", [("system 000, reconstructed", 0.01), ("Buda et al. 2019", 0.1)]
)
def test_running_statistics_take_their_librarys_share_of_a_batch(form, share):
    model = unet.Model(1, **{**unet.PUBLISHED[form].options, "widths": (4, 6)})
    image = noise((2, 8, 8, 3))
    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    _, seen = model.apply(
        variables,
        image,
        train=True,
        mutable=["batch_stats", "intermediates"],
        capture_intermediates=lambda module, _: module.name == "conv_1",
    )
    convolved = seen["intermediates"]["encoder"]["level_1"]["conv_1"]["__call__"][0]
    found = seen["batch_stats"]["encoder"]["level_1"]["norm_1"]["mean"]
    np.testing.assert_allclose(found, share * convolved.mean((0, 1, 2)), atol=1e-6)


def test_dropout_lies_between_the_convolutions_at_the_published_rates():
    model = unet.Model(
        1, widths=(8, 8, 8, 8, 8), norm="none", bias=False, dropout=RATES
    )
    image = noise((2, 64, 64, 1))
    variables = jax.jit(model.init)(jax.random.key(0), image)
    seen = {}

    def watch(convolve, arguments, options, context):
        result = convolve(*arguments, **options)
        seen[context.module.path] = (arguments[0], result)
        return result

    with nn.intercept_methods(watch):
        model.apply(
            variables, image, train=True, keys=jax.random.split(jax.random.key(1))
        )
    blocks = {f"encoder/level_{k}": rate for k, rate in enumerate(RATES, start=1)}
    blocks |= {f"decoder_{k}/block": rate for k, rate in enumerate(RATES[:4], start=1)}
    for block, rate in blocks.items():
        path = tuple(block.split("/"))
        alive = nn.relu(seen[*path, "conv_1"][1])
        kept = seen[*path, "conv_2"][0][alive > 0]
        assert float((kept == 0).mean()) == pytest.approx(rate, abs=0.08), block


def under_encoder(variables):
    """Keras's conv2_block1_1_conv and the like as our encoder/conv2_block1/1_conv."""
    tree = {"params": {}, "batch_stats": {}}
    for name, branch in ((n, b) for n in tree for b in (variables[n],)):
        for layer, weights in branch.items():
            path = re.fullmatch(r"(conv\d_block\d)_(.*)|(conv1_.*)", layer)
            if path is None:
                tree[name][layer] = weights
                continue
            encoder = tree[name].setdefault("encoder", {})
            if path[1]:
                encoder.setdefault(path[1], {})[path[2]] = weights
            else:
                encoder[layer] = weights
    return tree


@pytest.mark.slow  # full width
@pytest.mark.parametrize(
    "gates, form", [(False, "UNet, reconstructed"), (True, "UANet")]
)
def test_a_net_on_resnet50_is_the_published_one(keras, gates, form):
    parameters, _, outputs, options = encoder_unet.PUBLISHED[
        f"system 000, ResNet50-{form}"
    ]
    model = encoder_unet.Model(outputs, **options)
    net = randomise(system_000(keras, gates=gates))
    assert net.count_params() == parameters
    image = jax.nn.sigmoid(noise((2, 64, 64, 3)))
    variables = under_encoder(ours(net.weights))
    logits = jax.jit(model.apply)(variables, image)
    expected = jax.jit(lambda image: net(image, training=False))(image)
    assert 1e-3 < expected.std() < 1e3
    np.testing.assert_allclose(logits, expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    "model, message",
    [
        (encoder_unet.Model(1, stages=1), "^stages is 1; it can be 2"),
        (
            encoder_unet.Model(1, widths=(4, 8)),
            "^widths is .*has 4 levels .* give one per level",
        ),
        (encoder_unet.Model(1, encoder="resnet"), "^encoder is 'resnet'"),
        (encoder_unet.Model(1, encoder=""), "encoder is ''; it can be efficientnet_b0"),
        (unet.Model(1, widths=()), "^widths is empty, which leaves U-Net no levels"),
        (
            unet_plus_plus.Model(1, encoder="vgg16", widths=(4, 8)),
            "has 4 decoders on vgg16",
        ),
        (
            attention_unet.Model(1, encoder="vgg16", widths=(4,) * 6),
            "has 4 decoders on vgg16",
        ),
        (
            unet_plus_plus.Model(1, skips=False, deep_supervision=True),
            "deep_supervision needs skips",
        ),
        (attention_unet.Model(1, variant="keras"), "variant is 'keras'.*encoder too"),
        (unet_plus_plus.Model(1, preprocessing="caffe"), "preprocessing is 'caffe'"),
        (
            attention_unet.Model(1, encoder="vgg16", variant="torchvision"),
            "vgg16 has no variants",
        ),
    ],
)
def test_options_that_do_not_fit_an_encoder_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
