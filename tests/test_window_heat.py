"""Grad-CAM and vectors of what is seen in windows, and of several nets as one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from brainseg_jax import parallel
from brainseg_jax.inference import embedding, ensemble, gradcam, scoring, window_heat
from brainseg_jax.inference.windows import Windows
from brainseg_jax.models.parts import bottleneck
from brainseg_jax.runs import ensembles, explaining
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective

TASK = segmentation.make_task({"a": 1, "b": 2}, exclusive=False, threshold=0.5)
LOSS = objective.make_loss({"dice": {"weight": 1.0}}, TASK)
ONE = parallel.Devices("mesh", tuple(jax.devices()[:1]))
PLAIN = np.repeat(np.array([[-1e6], [1e6], [0], [1]], np.float32), 2, axis=1)


class Linear(nn.Module):
    """Its features are the image; logits are weighed sums of their channels."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        features = bottleneck.mark(self, image)
        return features @ self.param("weight", nn.initializers.zeros, (2, 2))


class Pooled(nn.Module):
    """Its features are means of 2 x 2 x 2 places; logits are repeated there."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        features = bottleneck.mark(self, nn.avg_pool(image, (2, 2, 2), (2, 2, 2)))
        logits = features @ self.param("weight", nn.initializers.zeros, (2, 2))
        return jnp.repeat(jnp.repeat(jnp.repeat(logits, 2, 1), 2, 2), 2, 3)


WEIGHTS = {"params": {"weight": jnp.array([[2.0, -1], [-1, 3]])}}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def of_whole(model, image):
    """Heat of each map, as of an image that is seen whole."""
    space, whole = image.shape[:-1], jnp.asarray(image[None])
    asked = gradcam.asked(model.apply(WEIGHTS, whole), TASK, TASK.classes)
    heats = [gradcam.heat(WEIGHTS, whole, one, model=model) for _, one in asked]
    return [np.asarray(gradcam.fitted(heat, space))[0] for heat in heats]


def in_windows(model, image, windows):
    example = {"image": image, "scaling": PLAIN}
    see = ONE.eval_step(scoring.make_eval_step(model, TASK, LOSS, (), windows))
    marked = window_heat.marked(see, WEIGHTS, example, windows, ONE, task=TASK, maps=2)
    step = ONE.eval_step(window_heat.make_step(model, maps=2))
    asked = example | {"mask": marked}
    return marked, window_heat.heat(step, WEIGHTS, asked, windows, ONE)


def test_one_window_that_sees_everything_is_the_whole():
    image = noise(4, 6, 8, 2)
    marked, heat = in_windows(Pooled(), image, Windows((4, 6, 8), 0.5, 1, "edge"))
    assert marked.any((0, 1, 2)).all()
    for k, expected in enumerate(of_whole(Pooled(), image)):
        np.testing.assert_allclose(
            heat[..., k] / heat[..., k].max(), expected, atol=1e-5
        )


@pytest.mark.parametrize("size", [(4, 4, 3), (9, 4, 4)])
def test_windows_give_what_the_whole_gives_where_a_place_sees_itself_alone(size):
    """All windows share one weight of each channel, and what they count sums to one."""
    image = noise(7, 5, 6, 2, seed=1)
    _, heat = in_windows(Linear(), image, Windows(size, 0.5, 4, "edge"))
    assert heat.shape == (7, 5, 6, 2)
    for k, expected in enumerate(of_whole(Linear(), image)):
        np.testing.assert_allclose(
            heat[..., k] / heat[..., k].max(), expected, atol=1e-5
        )


def test_of_several_nets_the_mean_of_maps_is_shown_with_their_agreement():
    one, other = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 1.0], [0, 0]])
    found = explaining.joined("a", [one, one, other])
    np.testing.assert_allclose(found.heat, [[1, 0.5], [0, 0]])
    # Of the pairs one is the same, and two are a place apart: -1/3 each.
    assert found.agreement == pytest.approx((1 - 1 / 3 - 1 / 3) / 3)
    assert explaining.joined("a", [one]).agreement is None


def test_the_cosine_of_joined_vectors_is_the_mean_of_the_nets_cosines():
    ones = [embedding.of_length_1(noise(3, size)) for size in (4, 7)]
    others = [embedding.of_length_1(noise(5, size, seed=1)) for size in (4, 7)]
    found = embedding.joined(ones) @ embedding.joined(others).T
    expected = np.mean([a @ b.T for a, b in zip(ones, others, strict=True)], 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_members_come_apart_as_they_were_joined():
    several = [{"params": {"a": 1}}, {"params": {"a": 2}, "batch_stats": {"b": 3}}]
    assert ensemble.part(ensemble.join(several), 2) == several


def test_a_run_by_itself_is_its_only_part():
    alone = ensembles.Restored(
        None, ensembles.restore.Parts(TASK, Linear(), LOSS, ()), {}
    )
    assert ensembles.parted(alone) == [alone]
