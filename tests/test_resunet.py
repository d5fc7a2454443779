"""The ResUNet against the published one, built here of Keras layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.models import resunet
from tests.keras_weights import ours, randomise

SIZE = 64


def keras_resunet(keras):
    """The published net up to its logits; a layer's name says where ours has it."""
    layers = keras.layers

    def conv(image, features, size, name, activation=None, init="he_normal"):
        return layers.Conv2D(
            features,
            size,
            padding="same",
            activation=activation,
            kernel_initializer=init,
            name=name,
        )(image)

    def norm(image, name):
        return layers.BatchNormalization(name=f"{name}_norm")(image)

    def block(image, features, name):
        main = norm(conv(image, features, 1, f"{name}.main_1x1"), f"{name}.main_1x1")
        main = conv(layers.ReLU()(main), features, 3, f"{name}.main_3x3")
        main = norm(main, f"{name}.main_3x3")
        short = norm(conv(image, features, 1, f"{name}.short_1x1"), f"{name}.short_1x1")
        return layers.ReLU()(layers.Add()([main, short]))

    image = inputs = layers.Input((SIZE, SIZE, 3))
    for name in ("encoder_1.first_3x3", "encoder_1.second_3x3"):
        image = norm(conv(image, 16, 3, name, activation="relu"), name)
    skips = [image]
    for level, features in ((2, 32), (3, 64), (4, 128)):
        image = block(layers.MaxPool2D()(image), features, f"encoder_{level}")
        skips.append(image)
    image = block(layers.MaxPool2D()(image), 256, "bottleneck")
    for level, features in ((4, 128), (3, 64), (2, 32), (1, 16)):
        image = layers.Concatenate()([layers.UpSampling2D()(image), skips.pop()])
        image = block(image, features, f"decoder_{level}")
    return keras.Model(inputs, conv(image, 1, 1, "output", init="glorot_uniform"))


@pytest.fixture
def reference(keras):
    """The published net, every value of it changed from its initial one."""
    return randomise(keras_resunet(keras))


def noise(count):
    shape = (count, SIZE, SIZE, 3)
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def assert_near(gradient, expected):
    """Within a hundredth of its norm; a bias before a normalisation has none."""
    error = np.linalg.norm(gradient - expected)
    assert error < 0.01 * np.linalg.norm(expected) + 1e-6


def test_the_trees_are_the_same(reference):
    variables = jax.eval_shape(resunet.Model(1).init, jax.random.key(0), noise(1))
    shapes = jax.tree.map(jnp.shape, ours(reference.variables))
    assert shapes == jax.tree.map(jnp.shape, variables)
    assert reference.count_params() == 1_210_513
    assert sum(x.size for x in jax.tree.leaves(variables["params"])) == 1_206_129


@pytest.mark.parametrize("count", [1, 3])
def test_logits_are_those_of_keras(reference, count):
    apply = jax.jit(resunet.Model(1).apply)
    logits = apply(ours(reference.variables), noise(count))
    expected = jax.jit(lambda image: reference(image, training=False))(noise(count))
    assert 0.1 < expected.std() < 10
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_training_step_sees_what_keras_sees(reference):
    """Logits, new batch statistics and the gradient of every parameter."""
    image, variables = noise(3), ours(reference.variables)

    def keras_loss(trainable):
        logits, state = reference.stateless_call(trainable, fixed, image, training=True)
        return jnp.sin(logits).mean(), (logits, state)

    def our_loss(params):
        logits, updated = resunet.Model(1).apply(
            {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
        )
        return jnp.sin(logits).mean(), (logits, updated["batch_stats"])

    trainable = [variable.value for variable in reference.trainable_variables]
    fixed = [variable.value for variable in reference.non_trainable_variables]
    expected, (keras_logits, state) = jax.jit(jax.grad(keras_loss, has_aux=True))(
        trainable
    )
    gradient, (logits, statistics) = jax.jit(jax.grad(our_loss, has_aux=True))(
        variables["params"]
    )
    np.testing.assert_allclose(logits, keras_logits, atol=1e-3)
    keras_statistics = ours(reference.non_trainable_variables, state)["batch_stats"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        statistics,
        keras_statistics,
    )
    expected = ours(reference.trainable_variables, expected)["params"]
    jax.tree.map(assert_near, gradient, expected)


@pytest.fixture(scope="module")
def initial():
    """Initial parameters, with enough outputs to see how the last kernel is drawn."""
    init = jax.jit(resunet.Model(outputs=200).init)
    return init(jax.random.key(0), noise(1))["params"]


def test_kernels_start_he_normal(initial):
    for path, kernel in jax.tree_util.tree_leaves_with_path(initial):
        if kernel.ndim < 4 or path[0].key == "output":
            continue
        # A normal cut at two of its deviations, which takes them to 0.8796 of what
        # they were and to sqrt(2 / fan in).
        deviation = np.sqrt(2 / np.prod(kernel.shape[:3]))
        assert kernel.std() == pytest.approx(deviation, rel=0.1)
        assert 1.5 * deviation < jnp.abs(kernel).max() <= 2 / 0.8796 * deviation


def test_the_last_kernel_starts_glorot_uniform(initial):
    largest = jnp.abs(initial["output"]["kernel"]).max()
    # Uniform up to sqrt(6 / (fan in + fan out)); the largest of 3,200 draws is near it.
    assert largest == pytest.approx(np.sqrt(6 / (16 + 200)), rel=0.01)


@pytest.mark.parametrize("widths", [(4,), (4, 8), (4, 6, 8, 10, 12, 14)])
def test_any_number_of_widths_makes_a_net(widths):
    shape = (1, 32, 64, 2)
    model = resunet.Model(3, widths=widths)
    logits, _ = jax.eval_shape(
        model.init_with_output, jax.random.key(0), jnp.zeros(shape)
    )
    assert logits.shape == (1, 32, 64, 3)
