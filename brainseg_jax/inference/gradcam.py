"""Grad-CAM: where in an image a net finds what raises a logit.

Selvaraju et al. 2017 (arXiv 1610.02391). Of classes the logit of one is explained, of masks
the sum of a map's logits over the positions that it marks (Seg-Grad-CAM, Vinogradova et al.
2020, arXiv 2002.11434). The features are the deepest ones: models/parts/bottleneck.py.
Images may have any number of axes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from brainseg_jax.inference import embedding
from brainseg_jax.inference.embedding import Variables
from brainseg_jax.models.parts import bottleneck
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.tasks.parts.task import Each, Task


def heat(
    variables: Variables,
    image: Float[Array, "n *space c"],
    share: Each,
    *,
    model: nn.Module,
) -> Float[Array, "n *small"]:
    """How much each place of the features raises the sum of logits times `share`."""
    found = look(variables, image, [share], model=model)
    return weighed(found.features, found.weights[:, 0])


class Looked(NamedTuple):
    """The deepest features of images, and what each channel counts for each share."""

    features: Float[Array, "n *small f"]
    weights: Float[Array, "n k f"]


def look(
    variables: Variables,
    image: Float[Array, "n *space c"],
    shares: Sequence[Each],
    *,
    model: nn.Module,
) -> Looked:
    """Weights are the mean gradient of the sum of logits times each of the `shares`."""

    def objective(shift: Array) -> tuple[Each, Array]:
        logits, others = model.apply(
            bottleneck.moved(variables, shift), image, mutable=bottleneck.SEEN
        )
        return logits, bottleneck.seen(others)

    unmoved = jax.eval_shape(lambda: embedding.features(variables, image, model=model))
    shift = jnp.zeros(unmoved.shape, unmoved.dtype)
    logits, pull, features = jax.vjp(objective, shift, has_aux=True)
    space = tuple(range(1, features.ndim - 1))
    weights = []
    for share in shares:
        fitting = jax.tree.map(lambda own, part: part.astype(own.dtype), logits, share)
        (gradient,) = pull(fitting)
        weights.append(gradient.mean(space, dtype=jnp.float32))
    return Looked(features, jnp.stack(weights, 1))


def weighed(
    features: Float[Array, "n *small f"], weight: Float[Array, "n f"]
) -> Float[Array, "n *small"]:
    """What is positive of the features' weighed sum."""
    shape = (len(weight), *[1] * (features.ndim - 2), weight.shape[-1])
    return nn.relu((weight.reshape(shape) * features).sum(-1))


def fitted(
    heat: Float[Array, "n *small"], space: Sequence[int]
) -> Float[Array, "n *space"]:
    """Interpolated to an image's size, its largest value 1; all 0 where nothing raises."""
    whole = jax.image.resize(heat, (len(heat), *space), "linear")
    axes = tuple(range(1, whole.ndim))
    largest = whole.max(axes, keepdims=True)
    return whole / jnp.where(largest > 0, largest, 1)


def asked(logits: Each, task: Task, maps: Sequence[str]) -> list[tuple[str, Each]]:
    """What is explained of one image's logits [1, ...]: names, each with its share of them.

    Of classes the predicted one; of masks every map that marks anything, where it does.
    `maps` are the names of the maps, without background.
    """
    probs = task.probabilities(logits)
    if task.heads is None:
        return _asked_of_one(logits, probs, task, maps)
    nothing = jax.tree.map(jnp.zeros_like, logits)
    of_mask = _asked_of_one(logits.mask, probs.mask, task.heads.mask, maps)
    of_label = _asked_of_one(logits.label, probs.label, task.heads.label, maps)
    return [
        *((name, Heads(share, nothing.label)) for name, share in of_mask),
        *((name, Heads(nothing.mask, share)) for name, share in of_label),
    ]


def _asked_of_one(
    logits: Array, probs: Array, task: Task, maps: Sequence[str]
) -> list[tuple[str, Any]]:
    if not task.uses_masks:
        chosen = int(task.predict(probs)[0])
        return [(task.classes[chosen], _of_class(logits, chosen))]
    marked = marks(probs, task)
    first = logits.shape[-1] - len(maps)  # after background
    return [
        (name, jnp.zeros_like(logits).at[..., k].set(marked[..., k]))
        for k, name in enumerate(maps, start=first)
        if bool(marked[..., k].any())
    ]


def _of_class(logits: Float[Array, "n o"], chosen: int) -> Float[Array, "n o"]:
    """Its own logit; of two classes with one logit that of the second, or its opposite."""
    if logits.shape[-1] == 1:
        return jnp.full_like(logits, 1.0 if chosen else -1.0)
    return jnp.zeros_like(logits).at[:, chosen].set(1.0)


def marks(probs: Float[Array, "n *space o"], task: Task) -> Float[Array, "n *space o"]:
    """1 where a map is decided for: the most probable one, or as many as are marked."""
    if task.exclusive:
        return jax.nn.one_hot(probs.argmax(-1), probs.shape[-1])
    return task.mark(probs).astype(jnp.float32)
