"""Our convolutions against Flax's, with the same parameters: values and gradients."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models.parts import convolutions, resampling, slicewise


def noise(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def assert_same(ours, theirs, image):
    """Parameters of the same names and shapes, the same output and gradients."""
    variables = jax.jit(ours.init)(jax.random.key(0, impl="rbg"), image)
    shapes = jax.eval_shape(theirs.init, jax.random.key(0), image)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(lambda x: x.shape, shapes)

    def both(variables, image):
        """The output and, of a function of it, the gradients; of ours and of theirs."""
        for model in (ours, theirs):
            output, back = jax.vjp(model.apply, variables, image)
            yield output, back(jnp.cos(output))

    (output, gradients), (their_output, their_gradients) = jax.jit(
        lambda *arguments: list(both(*arguments))
    )(variables, image)
    np.testing.assert_allclose(output, their_output, rtol=1e-4, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        gradients,
        their_gradients,
    )


@pytest.mark.parametrize("space", [(6, 8), (4, 6, 2)])
@pytest.mark.parametrize("size, strides", [(1, 1), (1, 2), (3, 1), (3, 2), (5, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_is_flaxs(space, size, strides, bias):
    ours = convolutions.Conv(5, size, strides, use_bias=bias)
    kernel, steps = (size,) * len(space), (strides,) * len(space)
    assert_same(ours, nn.Conv(5, kernel, steps, use_bias=bias), noise(2, *space, 3))


def test_zeros_on_every_side_are_those_of_flax():
    ours = convolutions.Conv(4, 7, 2, padding=3)
    assert_same(ours, nn.Conv(4, (7, 7), (2, 2), padding=3), noise(2, 9, 12, 3))


@pytest.mark.parametrize("space", [(5, 8), (3, 4, 2)])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_a_transposed_convolution_is_flaxs(space, size, bias):
    ours = convolutions.ConvTranspose(5, size, use_bias=bias)
    kernel, steps = (size,) * len(space), (2,) * len(space)
    theirs = nn.ConvTranspose(5, kernel, steps, use_bias=bias)
    assert_same(ours, theirs, noise(2, *space, 3))


@pytest.mark.parametrize("shape", [(2, 8, 6, 3), (1, 7, 9, 3)])
@pytest.mark.parametrize("size, strides", [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_a_depthwise_convolution_is_flaxs_grouped_one(shape, size, strides):
    ours = convolutions.DepthwiseConv(size, strides)
    theirs = nn.Conv(
        3, (size, size), (strides, strides), feature_group_count=3, use_bias=False
    )
    assert_same(ours, theirs, noise(*shape))


@pytest.mark.parametrize("shape", [(2, 8, 6, 3), (1, 7, 9, 3)])
@pytest.mark.parametrize("size, strides", [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_both_forms_of_a_depthwise_convolution_agree(shape, size, strides):
    image, kernel = noise(*shape), noise(size, size, 1, 3)

    @functools.partial(jax.jit, static_argnums=0)
    def output_and_gradients(form, image, kernel):
        output, back = jax.vjp(lambda *pair: form(*pair, strides), image, kernel)
        return output, back(jnp.cos(output))

    shifted, of_shifted = output_and_gradients(
        convolutions.depthwise_shifted, image, kernel
    )
    grouped, of_grouped = output_and_gradients(
        convolutions.depthwise_grouped, image, kernel
    )
    np.testing.assert_allclose(shifted, grouped, atol=1e-5)
    for found, expected in zip(of_shifted, of_grouped, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("platform, grouped", [("cpu", 0), ("cuda", 1), ("tpu", 1)])
def test_a_depthwise_convolution_is_grouped_but_on_a_cpu(platform, grouped):
    traced = jax.jit(convolutions.depthwise, static_argnums=2).trace(
        noise(1, 4, 4, 3), noise(3, 3, 1, 3), 1
    )
    lowered = traced.lower(lowering_platforms=(platform,)).as_text()
    assert lowered.count("feature_group_count = 3") == grouped


@pytest.mark.parametrize("shape", [(1, 1, 1, 2), (2, 3, 5, 1), (1, 4, 2, 3, 2)])
def test_linear_upsampling_is_jaxs(shape):
    image = noise(*shape)
    doubled = (shape[0], *(2 * size for size in shape[1:-1]), shape[-1])
    expected = jax.image.resize(image, doubled, "linear")
    np.testing.assert_allclose(resampling.upsample_linear(image), expected, atol=1e-6)


def test_linear_upsampling_by_hand():
    # Between 0 and 4 come 1 and 3; beyond the edges the edge goes on.
    row = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    found = resampling.upsample_linear(row)
    np.testing.assert_allclose(found[0, :, :, 0], [[0, 1, 3, 4]] * 2)


def test_computed_in_bfloat16_parameters_stay_float32():
    for layer in (
        convolutions.Conv(4, dtype=jnp.bfloat16),
        convolutions.ConvTranspose(4, dtype=jnp.bfloat16),
        convolutions.DepthwiseConv(dtype=jnp.bfloat16),
    ):
        image, variables = layer.init_with_output(jax.random.key(0), noise(1, 4, 4, 3))
        assert image.dtype == jnp.bfloat16
        kept = {leaf.dtype for leaf in jax.tree.leaves(variables)}
        assert kept == {jnp.dtype("float32")}


@pytest.mark.parametrize("size, strides", [(2, 2), (3, 2), (3, 3), (5, 1)])
@pytest.mark.parametrize("space", [(4, 6, 8), (5, 7, 4)], ids=str)
def test_convolutions_of_volumes_slice_by_slice_are_xlas(size, strides, space):
    random = np.random.default_rng(0)
    image = jnp.asarray(random.normal(size=(2, *space, 3)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(size,) * 3 + (3, 4)), jnp.float32)

    def with_gradients(form):
        made = form(image, kernel, strides=strides)
        weights = jnp.cos(jnp.arange(made.size, dtype=jnp.float32)).reshape(made.shape)
        gradients = jax.grad(
            lambda *given: (form(*given, strides=strides) * weights).sum(), (0, 1)
        )(image, kernel)
        return made, *gradients

    for found, expected in zip(
        with_gradients(slicewise.convolve),
        with_gradients(slicewise.direct),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-4)
