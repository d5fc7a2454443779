"""Blocks worked out by hand, or beside the formulas of their papers."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models.parts import blocks, convolutions
from brainseg_jax.models.parts.layers import Style


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def start(module, *arguments):
    variables = module.init(jax.random.key(0), *arguments)
    random = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: jnp.asarray(random.normal(size=leaf.shape), jnp.float32), variables
    )


class Styled(nn.Module):
    """A style's normalisation and activation."""

    style: Style

    @nn.compact
    def __call__(self, image):
        return self.style.activate(self.style.normalise(image, "norm"), "activation")


@pytest.mark.parametrize("field", ["norm", "activation", "kernel_init"])
def test_an_unknown_part_of_a_style_is_refused_with_what_there_is(field):
    known = {"norm": "instance", "activation": "prelu", "kernel_init": "he_uniform"}
    with pytest.raises(ValueError, match=f"^{field} is 'nope'.*{known[field]}"):
        Style(**{field: "nope"})


def test_instance_normalisation_goes_by_image_and_channel():
    image = noise(2, 4, 6, 3) * 5 + 2
    found, variables = Styled(
        Style(norm="instance", activation="none")
    ).init_with_output(jax.random.key(0), image)
    mean, variance = image.mean((1, 2), keepdims=True), image.var((1, 2), keepdims=True)
    expected = (image - mean) / jnp.sqrt(variance + 1e-5)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "batch_stats" not in variables


@pytest.mark.parametrize("channels, groups", [(16, 8), (12, 4), (5, 1)])
def test_group_normalisation_has_eight_groups_or_what_divides(channels, groups):
    image = noise(2, 3, 4, 2, channels) * 3 - 1
    found, _ = Styled(Style(norm="group", activation="none")).init_with_output(
        jax.random.key(0), image
    )
    split = image.reshape(2, 3, 4, 2, groups, -1)
    mean, variance = (
        f(split, (1, 2, 3, 5), keepdims=True) for f in (jnp.mean, jnp.var)
    )
    expected = ((split - mean) / jnp.sqrt(variance + 1e-5)).reshape(image.shape)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_without_normalisation_there_are_no_parameters():
    _, variables = Styled(Style(norm="none")).init_with_output(
        jax.random.key(0), noise(1, 2, 2, 1)
    )
    assert not jax.tree.leaves(variables)


def test_prelu_has_a_slope_per_channel():
    image = jnp.array([[-4.0, -4.0], [8.0, 8.0]]).reshape(1, 1, 2, 2)
    style = Style(norm="none", activation="prelu")
    variables = Styled(style).init(jax.random.key(0), image)
    assert (variables["params"]["activation"]["slope"] == 0.25).all()
    slopes = {"params": {"activation": {"slope": jnp.array([0.5, 0.0])}}}
    found = Styled(style).apply(slopes, image)
    np.testing.assert_array_equal(found.reshape(2, 2), [[-2, 0], [8, 8]])


@pytest.mark.parametrize(
    "activation, expected",
    [
        ("none", [-4, 1, 8]),
        ("relu", [0, 1, 8]),
        ("relu6", [0, 1, 6]),
        ("leaky_relu", [-0.04, 1, 8]),
        ("gelu", [-7.0246e-5, 0.841192, 8]),  # by tanh, Hendrycks and Gimpel 2016
        ("silu", [-4 / (1 + math.e**4), 1 / (1 + 1 / math.e), 8 / (1 + math.e**-8)]),
    ],
)
def test_activations_by_hand(activation, expected):
    image = jnp.array([-4.0, 1, 8]).reshape(1, 1, 3, 1)
    found = Style(activation=activation).activate(image, "activation")
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("maps", [1, 5])
def test_an_attention_gate_follows_its_formula(maps):
    skip, signal = noise(2, 4, 6, 5), noise(2, 4, 6, 3)
    gate = blocks.AttentionGate(4, Style(), maps=maps)
    variables = start(gate, skip, signal)
    params = jax.tree.map(np.asarray, variables["params"])

    def of(name, image):
        return image @ params[name]["kernel"][0, 0] + params[name]["bias"]

    both = np.maximum(of("theta", np.asarray(skip)) + of("phi", np.asarray(signal)), 0)
    weights = 1 / (1 + np.exp(-of("psi", both)))
    assert weights.shape[-1] == maps
    np.testing.assert_allclose(
        gate.apply(variables, skip, signal), skip * weights, atol=1e-5
    )


def test_squeeze_and_excitation_follows_its_formula():
    image = noise(2, 4, 6, 8)
    module = blocks.SqueezeExcite(2, Style())
    variables = start(module, image)
    params = jax.tree.map(np.asarray, variables["params"])
    means = np.asarray(image).mean((1, 2))
    hidden = np.maximum(
        means @ params["reduce"]["kernel"][0, 0] + params["reduce"]["bias"], 0
    )
    logits = hidden @ params["expand"]["kernel"][0, 0] + params["expand"]["bias"]
    expected = image * (1 / (1 + np.exp(-logits)))[:, None, None]
    np.testing.assert_allclose(module.apply(variables, image), expected, atol=1e-5)


def test_a_head_pools_as_it_is_told():
    image = jnp.arange(2 * 4 * 4 * 3, dtype=jnp.float32).reshape(2, 4, 4, 3)
    sizes = {"global": 3, "flatten": 48, 2: 12}
    for pool, size in sizes.items():
        head = blocks.Head(1, Style(), pool)
        variables = jax.eval_shape(head.init, jax.random.key(0), image)
        assert variables["params"]["output"]["kernel"].shape == (size, 1)
    ones = {"params": {"output": {"kernel": jnp.ones((3, 1)), "bias": jnp.zeros(1)}}}
    found = blocks.Head(1, Style()).apply(ones, image)
    np.testing.assert_allclose(found[:, 0], image.mean((1, 2)).sum(-1))


def test_dropout_in_training_asks_for_keys():
    block = blocks.ConvBlock(4, Style(train=True, norm="none"), dropout=0.5)
    with pytest.raises(ValueError, match="needs keys="):
        block.init(jax.random.key(0), noise(1, 4, 4, 3))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 5])
def test_a_dropout_that_leaves_nothing_is_refused_outside_of_training_too(rate):
    block = blocks.ConvBlock(4, Style(), dropout=rate)
    with pytest.raises(ValueError, match=f"dropout of {rate}.*below 1"):
        block.init(jax.random.key(0), noise(1, 4, 4, 3))


def test_a_momentum_of_one_is_refused():
    encoder = blocks.Encoder((4, 4), Style(), pooled_momentum=1.5)
    with pytest.raises(ValueError, match="pooled_momentum is 1.5"):
        encoder.init(jax.random.key(0), noise(1, 4, 4, 3))


@pytest.mark.parametrize("field, value", [("momentum", 1.0), ("epsilon", 0.0)])
def test_a_batch_normalisation_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=f"^{field} is {value}; it has to be"):
        Style(**{field: value})


def test_rates_are_one_for_all_levels_or_one_for_each():
    assert blocks.each("dropout", (0.5,), 3) == [0.5] * 3
    assert blocks.each("repeats", (1, 2, 3), 3) == (1, 2, 3)
    with pytest.raises(ValueError, match=r"^dropout is \(1, 2\).* or 3"):
        blocks.each("dropout", (1, 2), 3)


def test_an_unknown_upsampling_is_refused():
    with pytest.raises(
        ValueError,
        match="^upsampling is 'cubic'.*linear or nearest",
    ):
        blocks.upsample(noise(1, 2, 2, 1), "cubic")


def test_initialisers_are_those_of_their_names():
    shape = (3, 3, 64, 32)
    # fan in 9 * 64 = 576, fan out 9 * 32 = 288
    variances = {
        "he_normal": 2 / 576,
        "he_uniform": 2 / 576,
        "glorot_normal": 2 / (576 + 288),
        "glorot_uniform": 2 / (576 + 288),
        "he_normal_out": 2 / 288,
        "pytorch_uniform": 1 / (3 * 576),
    }
    assert set(variances) == set(convolutions.INITIALISERS)
    for name, variance in variances.items():
        kernel = convolutions.INITIALISERS[name](jax.random.key(0), shape)
        assert kernel.var() == pytest.approx(variance, rel=0.05), name


def test_an_unknown_pooling_of_a_head_is_refused():
    with pytest.raises(ValueError, match="pool is 'gobal'; it can be global"):
        blocks.Head(1, Style(), "gobal").init(jax.random.key(0), noise(1, 4, 4, 3))
