"""Grad-CAM: where in an image a net finds what raises a logit.

Selvaraju et al. 2017 (arXiv 1610.02391). Of classes the logit of one is explained, of masks
the sum of a map's logits over the positions that it marks (Seg-Grad-CAM, Vinogradova et al.
2020, arXiv 2002.11434). The features are the deepest ones: models/parts/bottleneck.py.
Images may have any number of axes.
"""

from collections.abc import Sequence
from typing import Any

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
    """How much each place of the features raises the sum of logits times `share`.

    ReLU of the features, weighed by channel with the mean gradient of that sum.
    """

    def objective(shift: Array) -> tuple[Array, Array]:
        logits, others = model.apply(
            bottleneck.moved(variables, shift), image, mutable=bottleneck.SEEN
        )
        asked = jax.tree.map(lambda own, part: (own * part).sum(), logits, share)
        return sum(jax.tree.leaves(asked), jnp.zeros(())), bottleneck.seen(others)

    unmoved = jax.eval_shape(lambda: embedding.features(variables, image, model=model))
    shift = jnp.zeros(unmoved.shape, unmoved.dtype)
    gradient, features = jax.grad(objective, has_aux=True)(shift)
    space = tuple(range(1, features.ndim - 1))
    weight = gradient.mean(space, keepdims=True, dtype=jnp.float32)
    return nn.relu((weight * features).sum(-1))


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
    marked = _marked(probs, task)
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


def _marked(
    probs: Float[Array, "n *space o"], task: Task
) -> Float[Array, "n *space o"]:
    """1 where a map is decided for: the most probable one, or as many as are marked."""
    if task.exclusive:
        return jax.nn.one_hot(probs.argmax(-1), probs.shape[-1])
    return task.mark(probs).astype(jnp.float32)
