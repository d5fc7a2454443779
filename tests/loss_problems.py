"""Logits and targets that losses are tested on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax import losses, registry
from brainseg_jax.losses import cross_entropy, focal

LOSSES = {name: registry.find(losses, name).loss for name in registry.names(losses)}


OF_IMAGES = {"cross_entropy": cross_entropy.loss, "focal": focal.loss}


every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


both_kinds = pytest.mark.parametrize(
    "exclusive", [False, True], ids=["sigmoids", "softmax"]
)


def make_problem(exclusive, shape=(3, 6, 5), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(*shape, classes)).astype(np.float32)
    if exclusive:
        return jnp.asarray(logits), jnp.asarray(rng.integers(0, classes, shape))
    return jnp.asarray(logits), jnp.asarray(rng.integers(0, 2, logits.shape), float)


def as_logits(maps, strength):
    """Logits of +strength where a map is 1 and -strength where it is 0."""
    return strength * (2 * maps - 1)


def maps_of(target, exclusive, classes=3):
    return jax.nn.one_hot(target, classes) if exclusive else target
