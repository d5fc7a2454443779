"""Which nets are timed, on what: every form of every model that is a net of its own."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from brainseg_jax import models, registry
from brainseg_jax.benchmarks import cost
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.training.state import count

CHANNELS = 3
# Pixels along an axis, outputs (a sigmoid each), images at a time on a CPU and elsewhere;
# for images and for volumes.
KINDS = {2: (256, 1, 2, 16), 3: (64, 4, 1, 2)}
# Classifiers that differ in the head differ in cost by less.
SAME_COST = 1e-3


class Form(NamedTuple):
    """A net, under the names of its model and of what is published."""

    model: str
    form: str
    net: nn.Module
    shape: tuple[int, ...]  # of a batch, [n, *space, c]


def chosen(names: Sequence[str] = (), batch: int = 0) -> list[Form]:
    """Forms of the models `names`, by default of all, in batches of `batch`.

    A batch of 0 is chosen. Of forms that are one net but for the head there is the first.

    Raises:
        ValueError: if there is no model of a name, or if the batch is negative.
    """
    if batch < 0:
        raise ValueError(f"--batch is {batch}; it has to be 1 or more, 0 to choose it.")
    return [
        form
        for name in dict.fromkeys(names or registry.names(models))
        for form in _of_model(name, batch)
    ]


def parameters(form: Form) -> int:
    """How many numbers are trained."""
    return count(_variables(form)["params"])


def output_shape(form: Form) -> tuple[int, ...]:
    image = jax.ShapeDtypeStruct(form.shape, jnp.float32)
    return jax.eval_shape(form.net.apply, _variables(form), image).shape


def _of_model(name: str, batch: int) -> list[Form]:
    module, found, seen = registry.find(models, name), list[Form](), list[Any]()
    for form, published in module.PUBLISHED.items():
        space = len(published.shape) - 1
        size, outputs, on_cpu, elsewhere = KINDS[space]
        usual = on_cpu if jax.default_backend() == "cpu" else elsewhere
        shape = (batch or usual, *(size,) * space, CHANNELS)
        own = published.outputs if isinstance(published.outputs, Heads) else outputs
        made = Form(name, form, module.Model(own, **published.options), shape)
        body = _body(made)
        gflop = cost.gflop(made.net, _variables(made), shape)
        if not any(
            body == other and math.isclose(gflop, of_other, rel_tol=SAME_COST)
            for other, of_other in seen
        ):
            seen.append((body, gflop))
            found.append(made)
    return found


def _body(form: Form) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of every variable that is not of a classifier's head."""
    leaves = jax.tree_util.tree_leaves_with_path(_variables(form))
    named = [(jax.tree_util.keystr(path), leaf.shape) for path, leaf in leaves]
    return [(path, shape) for path, shape in named if "['head']" not in path]


@functools.cache
def _variables(form: Form) -> Any:
    image = jax.ShapeDtypeStruct(form.shape, jnp.float32)
    return jax.eval_shape(form.net.init, jax.random.key(0), image)
