"""What differs between tasks, as data and pure functions."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

from brainseg_jax import metrics


@dataclasses.dataclass(frozen=True)
class Task:
    """How a batch becomes a target, and logits become what is measured and written."""

    classes: tuple[str, ...]  # what is scored, without background
    outputs: int  # channels of the logits
    exclusive: bool  # softmax over classes and background, else a sigmoid each
    target: Callable[[dict[str, Array]], Array]
    probabilities: Callable[[Array], Array]
    predict: Callable[[Array], Array]  # probabilities -> the publisher's labels
    measure: Callable[[Array, dict[str, Array]], metrics.Counts]


def segmentation(
    classes: Mapping[str, int], *, exclusive: bool = False, threshold: float = 0.5
) -> Task:
    """Masks. `classes` maps each name to its value in the publisher's mask.

    With `exclusive` the classes compete with each other and with background, which comes
    first in the logits; else each class has a sigmoid and `threshold` decides.
    """
    values = jnp.array(list(classes.values()), jnp.uint8)

    def members(mask: UInt8[Array, "n *space 1"]) -> Bool[Array, "n *space c"]:
        return jnp.expand_dims(values, tuple(range(mask.ndim - 1))) == mask

    def target(batch: dict[str, Array]) -> Array:
        found = members(batch["mask"])
        if exclusive:
            return jnp.where(found.any(-1), found.argmax(-1) + 1, 0)
        return found.astype(jnp.float32)

    def probabilities(logits: Float[Array, "n *space o"]) -> Array:
        return jax.nn.softmax(logits) if exclusive else jax.nn.sigmoid(logits)

    def decide(probs: Float[Array, "n *space o"]) -> Bool[Array, "n *space c"]:
        if exclusive:
            return jax.nn.one_hot(probs.argmax(-1), len(classes) + 1)[..., 1:] > 0
        return probs > threshold

    def predict(probs: Float[Array, "n *space o"]) -> UInt8[Array, "n *space 1"]:
        found = decide(probs)
        labels = jnp.where(found.any(-1), values[found.argmax(-1)], 0)
        return labels[..., None].astype(jnp.uint8)

    def measure(
        probs: Float[Array, "n *space o"], batch: dict[str, Array]
    ) -> metrics.Counts:
        return metrics.counts(decide(probs), members(batch["mask"]))

    return Task(
        classes=tuple(classes),
        outputs=len(classes) + exclusive,
        exclusive=exclusive,
        target=target,
        probabilities=probabilities,
        predict=predict,
        measure=measure,
    )
