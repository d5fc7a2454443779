"""The 3D nets: Keras nets of the same layers, pooling indices, training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax import models, registry
from brainseg_jax.models import segnet3d
from brainseg_jax.models.parts import layers, resampling
from tests import keras_volumes
from tests.keras_weights import ours, randomise

CLASSES = 4


class Form(NamedTuple):
    """A net in one of its published forms."""

    model: str
    name: str
    narrow: tuple[int, ...]  # widths for a run of all levels
    shallow: dict  # options for a run of few levels

    @property
    def published(self):
        return registry.find(models, self.model).PUBLISHED[self.name]


FIVE, FOUR = (4, 4, 6, 8, 8), (4, 6, 8, 8)
THREE = {"widths": (4, 8, 8)}
TWO = {"widths": (4, 8), "repeats": (2,), "decoder_repeats": (2,)}
RATES = {**THREE, "dropout": (0.1, 0.1, 0.2)}
GATED, UNPOOLED = "after Oktay et al. 2018", "after Badrinarayanan et al. 2017"
FORMS = {
    "unet3d": Form("unet3d", "system 001", FIVE, RATES),
    "fcn3d": Form("fcn3d", "system 001", FIVE, THREE),
    "attention_unet3d": Form("attention_unet3d", f"{GATED} (ours)", FOUR, THREE),
    "attention_unet3d, decoder": Form("attention_unet3d", "system 001", FOUR, THREE),
    "segnet3d": Form("segnet3d", f"{UNPOOLED} (ours)", FOUR, TWO),
    "segnet3d, nearest": Form("segnet3d", "system 001", FOUR, TWO),
    "vnet3d": Form(
        "vnet3d", "Milletari et al. 2016", FIVE, {**THREE, "repeats": (1, 2, 3)}
    ),
}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def make(form, outputs=CLASSES, **options):
    module = registry.find(models, form.model)
    return module.Model(outputs, **{**form.published.options, **options})


def noise(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def shapes(model, *shape):
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(model.init_with_output, jax.random.key(0), image)


def test_a_size_is_refused_in_words():
    with pytest.raises(ValueError) as refusal:
        shapes(make(FORMS["unet3d"]), 1, 8, 40, 48, 3)
    assert str(refusal.value) == (
        "U-Net halves its input 4 times, so depth, height and width must be "
        "multiples of 16; got 8 x 40 x 48."
    )


@pytest.mark.parametrize(
    "name, option", [("attention_unet3d", "gated"), ("segnet3d", "unpool")]
)
def test_an_unknown_form_is_refused(name, option):
    with pytest.raises(ValueError, match=f"^{option} is 'no'; it can be "):
        shapes(make(FORMS[name], **{option: "no"}), 1, 16, 16, 16, 3)


@pytest.mark.parametrize("widths", [(4,), (4, 6), (4, 4, 4, 4, 4, 4)])
def test_any_number_of_widths_makes_a_net(form, widths):
    one_for_all = {
        "unet3d": {"dropout": (0.1,)},
        "vnet3d": {"repeats": (2,)},
        "segnet3d": {"repeats": (2,), "decoder_repeats": (2,)},
    }.get(form.model, {})
    model = make(form, widths=widths, **one_for_all)
    logits, _ = shapes(model, 1, 64, 64, 128, 2)
    assert logits.shape == (1, 64, 64, 128, CLASSES)


@pytest.mark.parametrize("name", keras_volumes.TWINS)
def test_logits_are_those_of_keras(keras, name):
    form, space = FORMS[name], (16, 16, 32)
    net = randomise(keras_volumes.build(keras, name, space, form.narrow, CLASSES))
    image, variables = noise(2, *space, 3), ours(net.weights)
    model = make(form, widths=form.narrow)
    _, tree = shapes(model, *image.shape)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, tree)
    logits = jax.jit(model.apply)(variables, image)
    expected = jax.jit(lambda image: net(image, training=False))(image)
    assert 0.1 < expected.std() < 10
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("name", sorted({*keras_volumes.TWINS} - {"vnet3d"}))
def test_keras_counts_as_many_parameters(keras, name):
    # All but the V-Net, which would fill a quarter of a gigabyte.
    widths = make(FORMS[name]).widths
    net = keras_volumes.build(keras, name, (16, 16, 16), widths, CLASSES)
    assert net.count_params() == FORMS[name].published.parameters


def test_the_unets_dropout_has_its_rates_and_a_mask_of_its_own_everywhere(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        layers,
        "dropout",
        lambda image, rate, keys, name: drawn.append((rate, name)) or image,
    )
    image = jax.ShapeDtypeStruct((1, 16, 16, 16, 3), jnp.float32)
    jax.eval_shape(
        lambda image, key: make(FORMS["unet3d"]).init(
            key, image, train=True, keys=key[None]
        ),
        image,
        jax.random.key(0),
    )
    assert [rate for rate, _ in drawn] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1]
    assert len({name for _, name in drawn}) == 9


def balls(count, size=16):
    """Noise, brighter inside of a ball: images of three channels and where it is."""
    random = np.random.default_rng(3)
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), -1)
    centres = random.uniform(5, size - 5, (count, 1, 1, 1, 3))
    radii = random.uniform(3, 5, (count, 1, 1, 1))
    inside = np.linalg.norm(grid - centres, axis=-1) < radii
    image = random.normal(size=(*inside.shape, 3)) + 2 * inside[..., None]
    return jnp.asarray(image, jnp.float32), jnp.asarray(inside, jnp.int32)


@pytest.mark.slow
def test_training_finds_balls_in_noise(form):
    image, inside = balls(2)
    keys = jax.random.split(jax.random.key(4), len(image))
    model, optimizer = make(form, outputs=2, **form.shallow), optax.adam(5e-3)

    def objective(params, stats, keys):
        logits, updated = model.apply(
            {"params": params, "batch_stats": stats}, image, train=True, keys=keys,
            mutable=["batch_stats"],
        )  # fmt: skip
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, inside).mean()
        return loss, updated.get("batch_stats", {})

    @jax.jit
    def step(params, stats, opt_state, number):
        drawn = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        (loss, stats), gradient = jax.value_and_grad(objective, has_aux=True)(
            params, stats, drawn
        )
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(params, updates), stats, opt_state, loss

    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    params, stats = variables["params"], variables.get("batch_stats", {})
    opt_state, losses = optimizer.init(params), []
    for number in range(40):
        params, stats, opt_state, loss = step(params, stats, opt_state, number)
        losses.append(float(loss))
    share = float(inside.mean())
    unseeing = -share * np.log(share) - (1 - share) * np.log(1 - share)
    # Below its start, and below what is best without looking at the image.
    assert losses[-1] < 0.7 * min(losses[0], unseeing)


def test_unpooling_by_hand():
    # Maxima: 4 bottom right, 9 top right; of the equal 5s the first, a row of zeros too.
    image = jnp.array([[1.0, 2, 3, 9], [3, 4, 0, 1], [5, 5, 0, 0], [5, 1, 0, 0]])
    pooled, choices = segnet3d.max_pool_with_choices(image.reshape(1, 4, 4, 1))
    np.testing.assert_array_equal(pooled[0, ..., 0], [[4, 9], [5, 0]])
    values = jnp.array([[10.0, 20], [30, 40]]).reshape(1, 2, 2, 1)
    expected = [[0, 0, 0, 20], [0, 10, 0, 0], [30, 0, 40, 0], [0, 0, 0, 0]]
    unpooled = segnet3d.max_unpool(values, choices)
    np.testing.assert_array_equal(unpooled[0, ..., 0], expected)


@pytest.mark.parametrize("space", [(4, 6), (4, 2, 6)], ids=str)
def test_unpooling_is_that_of_a_loop_over_windows(space):
    random = np.random.default_rng(5)
    image = random.integers(0, 3, (2, *space, 3)).astype("float32")  # many ties
    half = (2, *(size // 2 for size in space), 3)
    values = random.normal(size=half).astype("float32")
    pooled, unpooled = np.zeros(half, "float32"), np.zeros_like(image)
    for place in np.ndindex(half):
        n, *corner, c = place
        window = (n, *(slice(2 * start, 2 * start + 2) for start in corner), c)
        best = np.unravel_index(image[window].argmax(), (2,) * len(space))
        pooled[place] = image[window][best]
        unpooled[window][best] = values[place]
    found, choices = segnet3d.max_pool_with_choices(jnp.asarray(image))
    np.testing.assert_array_equal(found, pooled)
    np.testing.assert_array_equal(found, resampling.max_pool(jnp.asarray(image)))
    np.testing.assert_array_equal(
        segnet3d.max_unpool(jnp.asarray(values), choices), unpooled
    )


def test_the_gradient_goes_back_to_where_the_value_went():
    image, weights = noise(1, 4, 4, 4, 2), noise(1, 4, 4, 4, 2, seed=1)
    values, choices = segnet3d.max_pool_with_choices(image)
    gradient = jax.grad(
        lambda values: (segnet3d.max_unpool(values, choices) * weights).sum()
    )(values)
    # What unpooling puts at a maximum comes back with that place's weight: pooled there.
    where = segnet3d.max_unpool(jnp.ones_like(values), choices)
    assert where.sum() == values.size
    expected = (where * weights).reshape(1, 2, 2, 2, 2, 2, 2, 2).sum((2, 4, 6))
    np.testing.assert_array_equal(gradient, expected)
