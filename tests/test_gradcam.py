"""Grad-CAM by hand, and of every net in brainseg_jax/models."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from brainseg_jax.inference import embedding, gradcam
from brainseg_jax.inference.ensemble import Ensemble
from brainseg_jax.models import cnn
from brainseg_jax.models.parts import bottleneck
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.tasks import classification, segmentation_and_classification
from tests.test_models import CONTRACTS, first_key, make_model, of_few

IMAGE = jnp.asarray([[[[1.0, 2], [3, 0]], [[0, 1], [2, 2]]]])  # [1, 2, 2, 2]


class ByHand(nn.Module):
    """Its features are the image; logits are weighed sums of their channels."""

    of_images: bool

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        features = bottleneck.mark(self, image)
        weight = self.param("weight", nn.initializers.zeros, (2, 2))
        pooled = features.mean((1, 2)) if self.of_images else features
        return pooled @ weight


WEIGHTS = {"params": {"weight": jnp.array([[2.0, -1], [-1, 3]])}}  # features, outputs


def test_of_classes_it_is_the_weighed_features():
    # d logit_0 / d feature = (2, -1) / 4 places everywhere: (2 a - b) / 4, not below 0.
    found = gradcam.heat(WEIGHTS, IMAGE, jnp.array([[1.0, 0]]), model=ByHand(True))
    np.testing.assert_allclose(found, [[[0, 6 / 4], [0, 2 / 4]]])
    against = gradcam.heat(WEIGHTS, IMAGE, jnp.array([[-1.0, 0]]), model=ByHand(True))
    np.testing.assert_allclose(against, [[[0, 0], [1 / 4, 0]]])


def test_of_a_mask_it_is_weighed_by_the_marked_places():
    # Two of four places are marked: d sum / d feature is (-1, 3) there, half on average.
    share = jnp.zeros((1, 2, 2, 2)).at[0, 0, :, 1].set(1)
    found = gradcam.heat(WEIGHTS, IMAGE, share, model=ByHand(False))
    np.testing.assert_allclose(found, [[[5 / 2, 0], [3 / 2, 4 / 2]]])


def test_the_largest_value_is_1_and_of_nothing_all_is_0():
    small = jnp.array([[[0.0, 2], [0, 4]], [[0, 0], [0, 0]]])
    whole = gradcam.fitted(small, (4, 6))
    assert whole.shape == (2, 4, 6) and whole[0].max() == 1 and not whole[1].any()
    assert (whole[0, :, 0] == 0).all() and whole[0, -1, -1] == 1


def test_the_predicted_class_is_asked_of():
    of_two = classification.make_task(("no", "yes"), exclusive=False, threshold=0.5)
    ((name, share),) = gradcam.asked(jnp.array([[-2.0]]), of_two, ())
    assert name == "no" and share.tolist() == [[-1]]
    of_three = classification.make_task("abc", exclusive=True, threshold=0.5)
    ((name, share),) = gradcam.asked(jnp.array([[0.0, 3, 1]]), of_three, ())
    assert name == "b" and share.tolist() == [[0, 1, 0]]


def test_of_two_heads_each_is_asked_of_by_itself():
    task = segmentation_and_classification.make_task(
        {"whole": 1, "core": 2}, "ab", exclusive=True, threshold=0.5
    )
    logits = Heads(jnp.zeros((1, 2, 2, 3)).at[0, 0, 0, 2].set(5), jnp.array([[1.0, 0]]))
    of_mask, of_label = gradcam.asked(logits, task, ("whole", "core"))
    assert of_mask[0] == "core" and of_label[0] == "a"  # nothing is marked as whole
    assert of_mask[1].mask[0, 0, 0].tolist() == [0, 0, 1] and of_mask[1].mask.sum() == 1
    assert not of_mask[1].label.any() and not of_label[1].mask.any()


def test_a_vector_is_the_direction_of_the_mean_features():
    scaling = jnp.array([[[-99.0] * 2, [99] * 2, [0] * 2, [1] * 2]])
    found = embedding.embed(WEIGHTS, IMAGE, scaling, model=ByHand(True))
    np.testing.assert_allclose(found, [[6 / 61**0.5, 5 / 61**0.5]], rtol=1e-6)


def test_several_runs_as_one_have_no_features():
    model = Ensemble((ByHand(True), ByHand(True)), True)
    both = {"params": {f"members_{k}": WEIGHTS["params"] for k in range(2)}}
    with pytest.raises(ValueError, match="each of them has"):
        embedding.features(both, IMAGE, model=model)


@of_few
def test_every_net_marks_its_features_and_changes_by_nothing_else(name):
    model, image = make_model(name), jnp.zeros(CONTRACTS[name].shape)
    shapes = jax.eval_shape(model.init, first_key(), image)
    assert shapes.keys() <= {"params", "batch_stats"}

    def explain(variables, image):
        logits = model.apply(variables, image)
        share = jax.tree.map(jnp.ones_like, logits)
        features = embedding.features(variables, image, model=model)
        return features, gradcam.heat(variables, image, share, model=model)

    features, heat = jax.eval_shape(explain, shapes, image)
    assert heat.shape == features.shape[:-1] and features.ndim == image.ndim
    assert max(features.shape[1:-1]) < max(image.shape[1:-1])
    plain, moved = (
        jax.make_jaxpr(model.apply)(variables, image).jaxpr
        for variables in (shapes, bottleneck.moved(shapes, features))
    )
    assert len(moved.eqns) == len(plain.eqns) + 1  # one addition


@pytest.mark.parametrize("name", ["cnn", "unet"])
def test_moving_the_features_changes_the_logits(name):
    model, rng = make_model(name), np.random.default_rng(0)
    image = jnp.asarray(rng.normal(size=CONTRACTS[name].shape), jnp.float32)
    variables = jax.jit(model.init)(first_key(), image)
    found = jax.jit(lambda: embedding.features(variables, image, model=model))()

    def logits(factor):
        shift = factor * found
        return model.apply(bottleneck.moved(variables, shift), image).sum()

    before, after = jax.jit(logits)(0.0), jax.jit(logits)(0.5)
    unmoved = jax.jit(model.apply)(variables, image).sum()
    assert float(before) == pytest.approx(float(unmoved), rel=1e-4)
    assert abs(before - after) > 1e-4


SIDE, RADIUS = 32, 5


def discs(count, seed):
    """Noise, in every second image with a brighter disc, and where that is."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.indices((SIDE, SIDE)), -1)
    middles = rng.integers(RADIUS, SIDE - RADIUS, (count, 1, 1, 2))
    inside = ((places - middles) ** 2).sum(-1) <= RADIUS**2
    inside[::2] = False
    image = rng.normal(0, 0.5, inside.shape) + inside
    return jnp.asarray(image[..., None], jnp.float32), inside


def trained_on_discs(model, steps=60):
    image, inside = discs(64, 0)
    label = jnp.asarray(inside.any((1, 2)), jnp.int32)
    optimizer = optax.adam(0.01)

    def loss(params):
        logits = model.apply({"params": params}, image)
        return optax.softmax_cross_entropy_with_integer_labels(logits, label).mean()

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    params = jax.jit(model.init)(first_key(), image)["params"]
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return {"params": params}


@pytest.mark.slow
def test_a_classifier_of_discs_looks_at_the_discs():
    model = cnn.Model(2, widths=(8, 16), pool="global", hidden=(), dropout=(0.0,))
    variables = trained_on_discs(model)
    image, inside = discs(40, 1)  # others
    logits = jax.jit(model.apply)(variables, image)
    assert (logits.argmax(-1) == inside.any((1, 2))).mean() > 0.95
    share = jnp.zeros((40, 2)).at[:, 1].set(1)
    heat = jax.jit(partial(gradcam.heat, model=model))(variables, image, share)
    heat = np.asarray(gradcam.fitted(heat, (SIDE, SIDE)))[1::2]
    found = (heat * inside[1::2]).sum((1, 2)) / heat.sum((1, 2))
    assert inside[1::2].mean() < 0.09  # by chance
    assert found.mean() > 0.4
