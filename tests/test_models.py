"""The contract that every model in brainseg_jax/models keeps."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax import models, registry
from brainseg_jax.models.parts.heads import Heads


class Contract(NamedTuple):
    """What to expect of one model."""

    outputs: int | Heads
    shape: tuple[int, ...]  # of an image that it can take, as small as will do
    logits: tuple[int, ...] | Heads
    refused: tuple[int, ...]  # a shape that it cannot take
    multiple: int  # of which the refusal speaks
    refusal: str = "must be multiples of"
    statistics: bool = True  # of batches


VOLUME, CLASSES = (4, 16, 16, 32, 3), (4, 16, 16, 32, 4)
UNEVEN = (1, 8, 40, 48, 3)
CONTRACTS = {
    "attention_unet": Contract(1, (4, 16, 32, 1), (4, 16, 32, 1), (1, 24, 48, 1), 16),
    "attention_unet3d": Contract(4, VOLUME, CLASSES, (1, 8, 44, 48, 3), 8),
    "cnn": Contract(1, (4, 20, 11, 3), (4, 1), (1, 7, 8, 3), 8, "at least", False),
    "efficientnet_b0": Contract(
        4, (4, 64, 48, 3), (4, 4), (1, 31, 48, 3), 32, "at least"
    ),
    "efficientnet_lite0": Contract(
        4, (4, 64, 48, 3), (4, 4), (1, 31, 48, 3), 32, "at least"
    ),
    "encoder_unet": Contract(1, (4, 16, 32, 3), (4, 16, 32, 1), (1, 24, 48, 3), 16),
    "fcn3d": Contract(4, VOLUME, CLASSES, UNEVEN, 16),
    "residual_unet3d": Contract(
        4, VOLUME, CLASSES, (1, 32, 40, 64, 3), 32, statistics=False
    ),
    "resnet50": Contract(2, (4, 64, 48, 3), (4, 2), (1, 64, 127, 3), 128, "at least"),
    "resunet": Contract(1, (4, 16, 32, 3), (4, 16, 32, 1), (1, 40, 48, 3), 16),
    "segnet3d": Contract(4, VOLUME, CLASSES, UNEVEN, 16),
    "two_headed_unet": Contract(
        Heads(1, 3),
        (4, 16, 32, 1),
        Heads((4, 16, 32, 1), (4, 3)),
        (1, 24, 48, 1),
        16,
    ),
    "unet": Contract(1, (4, 16, 32, 3), (4, 16, 32, 1), (1, 24, 48, 3), 16),
    "unet3d": Contract(4, VOLUME, CLASSES, UNEVEN, 16, statistics=False),
    "unet_plus_plus": Contract(1, (4, 16, 32, 1), (4, 16, 32, 1), (1, 24, 48, 1), 16),
    "vgg16": Contract(1, (4, 32, 40, 3), (4, 1), (1, 31, 48, 3), 32, "at least", False),
    "vnet3d": Contract(4, VOLUME, CLASSES, UNEVEN, 16, statistics=False),
}


def make_model(name, **options):
    """A small one; see published_model for the size that is in a paper."""
    module = registry.find(models, name)
    return module.Model(CONTRACTS[name].outputs, **module.small({}), **options)


def published_model(name):
    return registry.find(models, name).Model(CONTRACTS[name].outputs)


def first_key():
    """For initial values: they compile ten times faster than from a key by default."""
    return jax.random.key(0, impl="rbg")


def initialise(model, image):
    """Unoptimised, drawing the weights of a wide net would take longer than compiling."""
    init = jax.jit(model.init, compiler_options={"xla_backend_optimization_level": 1})
    return init(first_key(), image)


def noise(shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def keys(count):
    return jax.random.split(jax.random.key(1), count)


@pytest.fixture(params=registry.names(models))
def name(request):
    return request.param


# Their encoders are as wide as published, and take half a minute to compile.
WIDE = ("efficientnet_b0", "efficientnet_lite0", "resnet50")


@pytest.fixture(
    params=[
        pytest.param(name, marks=[pytest.mark.slow] * (name in WIDE))
        for name in registry.names(models)
    ]
)
def compiled(request):
    """The name of a model that is compiled; of wide ones in make test-all alone."""
    return request.param


# Contracts that hold by the parts that all nets share: of the others in make test-all.
of_few = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in ("unet", "cnn")))
        for name in registry.names(models)
    ],
)


class Once(dict):
    """What is made of each model, once and only of those that are asked for by name."""

    def __init__(self, make):
        self.make = make

    def __missing__(self, name):
        self[name] = self.make(name)
        return self[name]


@pytest.fixture(scope="module")
def variables():
    """Initial values."""
    return Once(lambda name: initialise(make_model(name), noise(CONTRACTS[name].shape)))


@pytest.fixture(scope="module")
def applied():
    """Compiled to be evaluated: (variables, image) -> logits, its statistics."""
    return Once(
        lambda name: jax.jit(
            functools.partial(make_model(name).apply, mutable="batch_stats")
        )
    )


@pytest.fixture(scope="module")
def trained(variables):
    """Logits and updated statistics, of the contract's image."""

    def see(name):
        shape = CONTRACTS[name].shape
        arguments = variables[name], noise(shape), keys(shape[0])
        return jax.jit(train, static_argnums=0)(make_model(name), *arguments)

    return Once(see)


def train(model, variables, image, keys):
    return model.apply(variables, image, train=True, keys=keys, mutable=["batch_stats"])


def shapes(logits):
    return jax.tree.map(lambda leaf: leaf.shape, logits)


def assert_near(tree, expected, atol):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=atol), tree, expected
    )


def test_every_model_is_in_the_table():
    assert registry.names(models) == sorted(CONTRACTS)


def test_logits_have_their_shape(name):
    contract = CONTRACTS[name]
    logits, _ = jax.eval_shape(
        make_model(name).init_with_output, first_key(), noise(contract.shape)
    )
    assert shapes(logits) == contract.logits
    assert {leaf.dtype for leaf in jax.tree.leaves(logits)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "name, form",
    [
        (name, form)
        for name in registry.names(models)
        for form in registry.find(models, name).PUBLISHED
    ],
)
def test_a_form_has_its_parameters(name, form):
    # Published, or of those that are "(ours)" counted by us alone.
    module = registry.find(models, name)
    parameters, shape, outputs, options = module.PUBLISHED[form]
    logits, variables = jax.eval_shape(
        module.Model(outputs, **options).init_with_output,
        first_key(),
        jax.ShapeDtypeStruct((1, *shape), jnp.float32),
    )
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == parameters
    for leaf, count in zip(*map(jax.tree.leaves, (logits, outputs)), strict=True):
        space = shape[:-1] if leaf.ndim > 2 else ()
        assert (leaf.shape, leaf.dtype) == ((1, *space, count), jnp.float32)


def test_batch_statistics_move_in_training_alone(compiled, variables, trained, applied):
    contract = CONTRACTS[compiled]
    if not contract.statistics:
        assert "batch_stats" not in variables[compiled]
        return
    before = variables[compiled]["batch_stats"]
    _, updated = trained[compiled]
    moved = jax.tree_util.tree_map_with_path(
        lambda path, a, b: bool((a != b).any()) or "normalization" in str(path),
        before,
        updated["batch_stats"],
    )
    assert jax.tree.leaves(moved) and all(jax.tree.leaves(moved))
    _, evaluated = applied[compiled](variables[compiled], noise(contract.shape))
    assert_near(evaluated["batch_stats"], before, atol=0)


@of_few
def test_jit_changes_nothing(name, variables, trained):
    shape = CONTRACTS[name].shape
    arguments = variables[name], noise(shape), keys(shape[0])
    assert_near(trained[name], train(make_model(name), *arguments), atol=1e-3)


def test_an_image_does_not_change_its_neighbours_logits(compiled, variables, applied):
    image = noise(CONTRACTS[compiled].shape)
    others = image.at[1:].set(3 - image[1:])
    first, same = (
        jax.tree.map(
            lambda leaf: leaf[:1], applied[compiled](variables[compiled], batch)[0]
        )
        for batch in (image, others)
    )
    assert_near(first, same, 1e-4)


def test_bfloat16_touches_neither_logits_nor_parameters(compiled):
    contract = CONTRACTS[compiled]
    model = make_model(compiled, dtype=jnp.bfloat16)
    image = noise(contract.shape)
    start = jax.eval_shape(model.init, first_key(), image)
    logits, trained = jax.eval_shape(
        functools.partial(train, model), start, image, keys(contract.shape[0])
    )
    kept = {leaf.dtype for leaf in jax.tree.leaves((logits, start, trained))}
    assert kept == {jnp.dtype("float32")}
    # But all between: only output convolutions and the last layers of heads are float32.
    lines = str(jax.make_jaxpr(model.apply)(start, image)).splitlines()
    products = [x for x in lines if "= conv_general" in x or "= dot_general" in x]
    last = products[-len(jax.tree.leaves(logits)) :]
    assert [line for line in products if ":f32" in line] == last


@of_few
def test_bfloat16_trains_with_finite_numbers(name, variables):
    contract = CONTRACTS[name]
    model = make_model(name, dtype=jnp.bfloat16)
    found = jax.jit(train, static_argnums=0)(
        model, variables[name], noise(contract.shape), keys(contract.shape[0])
    )
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def test_a_size_it_cannot_take_is_refused_with_what_it_can(name):
    contract = CONTRACTS[name]
    with pytest.raises(
        ValueError, match=f"{contract.refusal} {contract.multiple}; got"
    ):
        published_model(name).init(first_key(), jnp.zeros(contract.refused))


def test_computing_stages_again_changes_no_names(name):
    image = noise(CONTRACTS[name].shape)
    again, model = make_model(name, remat=True), make_model(name)
    jaxpr, shapes = jax.make_jaxpr(again.init, return_shape=True)(first_key(), image)
    expected = jax.eval_shape(model.init, first_key(), image)
    assert jax.tree.structure(shapes) == jax.tree.structure(expected)
    assert "remat" in str(jaxpr)


@of_few
def test_computing_stages_again_changes_no_results(name, variables):
    contract = CONTRACTS[name]
    image, key = noise(contract.shape), keys(contract.shape[0])

    def gradient(model):
        def loss(params):
            logits, updated = train(
                model, {**variables[name], "params": params}, image, key
            )
            values = [(jnp.sin(leaf) ** 2).mean() for leaf in jax.tree.leaves(logits)]
            return sum(values), updated

        return jax.jit(jax.grad(loss, has_aux=True))(variables[name]["params"])

    again = make_model(name, remat=True)
    assert_near(gradient(again), gradient(make_model(name)), atol=1e-4)


def test_outside_training_the_axis_name_is_ignored(name):
    image = noise(CONTRACTS[name].shape)
    model = make_model(name, axis_name="devices")
    # Raises where a collective is met.
    variables = jax.eval_shape(model.init, first_key(), image)
    jax.eval_shape(model.apply, variables, image)


def test_two_halves_of_a_batch_train_as_one(compiled, variables, trained):
    contract = CONTRACTS[compiled]
    image, key = noise(contract.shape), keys(contract.shape[0])
    logits, updated = jax.jit(
        jax.vmap(
            lambda image, key: train(
                make_model(compiled, axis_name="devices"),
                variables[compiled],
                image,
                key,
            ),
            axis_name="devices",
            out_axes=(0, None),
        )
    )(image.reshape(2, -1, *image.shape[1:]), key.reshape(2, -1))
    joined = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), logits)
    assert shapes(joined) == contract.logits
    assert_near((joined, updated), trained[compiled], atol=1e-3)
