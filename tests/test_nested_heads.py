"""The heads of U-Net++ under deep supervision."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax.models import unet_plus_plus
from brainseg_jax.models.parts import blocks, resampling
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective
from tests.test_unets import noise


def test_nested_heads_come_last_column_first():
    model = unet_plus_plus.Model(2, widths=(4, 6, 8), deep_supervision=True)
    image = noise((2, 16, 16, 3))
    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    (finest, second), _ = model.apply(
        variables, image, train=True, mutable=["batch_stats"]
    )
    assert finest.shape == second.shape == (2, 16, 16, 2)
    # The second head hangs on node_1_2 alone: without its kernel it gives its bias.
    params = jax.tree.map(jnp.copy, variables["params"])
    params["output_2"]["kernel"] *= 0
    changed, _ = model.apply(
        {**variables, "params": params}, image, train=True, mutable=["batch_stats"]
    )
    assert (changed[0] == finest).all() and not changed[1].any()
    assert model.apply(variables, image).shape == (2, 16, 16, 2)


@pytest.fixture
def half_size(monkeypatch):
    """A small encoder whose finest tap has half the image's size, in place of any."""

    def encode(model, image, style, keys, title):
        encoder = blocks.Encoder(model.widths, style, name="encoder")
        return encoder(resampling.max_pool(image), keys)

    monkeypatch.setattr(unet_plus_plus.encoders, "take_taps", encode)


def test_statistics_of_the_last_doubling_are_of_the_last_node_alone(half_size):
    plain, deep = (
        unet_plus_plus.Model(1, widths=(4, 6, 8), deep_supervision=deep)
        for deep in (False, True)
    )
    image = noise((2, 16, 32, 3))
    variables = jax.jit(deep.init)(jax.random.key(0, impl="rbg"), image)
    (logits, updated), (expected, of_plain) = (
        model.apply(variables, image, train=True, mutable=["batch_stats"])
        for model in (deep, plain)
    )
    assert [head.shape for head in logits] == [(2, 16, 32, 1), (2, 8, 16, 1)]
    np.testing.assert_array_equal(logits[0], expected)
    jax.tree.map(np.testing.assert_array_equal, updated, of_plain)


def test_heads_of_half_size_learn_where_the_mask_is(half_size):
    model = unet_plus_plus.Model(1, widths=(4, 6, 8), deep_supervision=True)
    image = noise((2, 16, 32, 3))
    inside = jnp.zeros((2, 16, 32, 1), bool).at[:, 4:12, 8:20].set(True)
    batch = {"image": image + 2 * inside, "mask": jnp.where(inside, 255, 0)}
    batch["mask"] = batch["mask"].astype(jnp.uint8)
    task = segmentation.make_task({"tumour": 255}, exclusive=False, threshold=0.5)
    loss = objective.make_loss({"cross_entropy": {"weight": 1.0}}, task)

    def total(params, stats):
        logits, updated = model.apply(
            {"params": params, **stats}, batch["image"], train=True,
            mutable=["batch_stats"],
        )  # fmt: skip
        return loss(logits, batch)[0].mean(), (logits, updated)

    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, stats, opt_state):
        gradient, (logits, stats) = jax.grad(total, has_aux=True)(params, stats)
        updates, opt_state = optimizer.update(gradient, opt_state)
        return optax.apply_updates(params, updates), stats, opt_state, logits

    variables = jax.jit(model.init)(jax.random.key(0, impl="rbg"), image)
    params, stats = variables["params"], {"batch_stats": variables["batch_stats"]}
    opt_state = optimizer.init(params)
    for _ in range(60):
        params, stats, opt_state, logits = step(params, stats, opt_state)
    # The mask's own edges are at even pixels, so half of its size says where it is.
    for head, target in zip(logits, (inside, inside[:, ::2, ::2]), strict=True):
        assert ((head > 0) == target).mean() > 0.98
