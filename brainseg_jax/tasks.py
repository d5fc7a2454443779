"""What differs between tasks, as data and pure functions."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from brainseg_jax import class_scores, metrics

NAMES = ("segmentation", "classification")

Batch = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Task:
    """How a batch becomes a target, and logits become what is measured and written.

    How its scores become tables and pictures: brainseg_jax/reports/<name>.py.
    """

    name: str
    classes: tuple[str, ...]  # what is scored, without background
    named_by: str  # the field of data.Info that the classes come from
    uses_masks: bool
    outputs: int  # channels of the logits
    exclusive: bool  # softmax over classes (of masks: and background), else sigmoids
    target: Callable[[Batch], Array]
    probabilities: Callable[[Array], Array]
    unflip: Callable[[Array, tuple[int, ...]], Array]  # of a mirror image's output
    resize: Callable[[Array, Batch], Array]  # an output, to the size that is scored
    predict: Callable[[Array], Array]  # probabilities -> the publisher's labels
    measure: Callable[[Array, Batch], Any]  # arrays with a value per example


def segmentation(
    classes: Mapping[str, int], *, exclusive: bool = False, threshold: float = 0.5
) -> Task:
    """Masks. `classes` maps each name to its value in the publisher's mask.

    With `exclusive` the classes compete with each other and with background, which comes
    first in the logits; else each class has a sigmoid and `threshold` decides. The target
    is each class's share of a position: `batch["share"]` of a mask that was resized, else 0
    or 1 by `batch["mask"]`.
    """
    values = jnp.array(list(classes.values()), jnp.uint8)

    def members(mask: UInt8[Array, "n *space 1"]) -> Bool[Array, "n *space c"]:
        return jnp.expand_dims(values, tuple(range(mask.ndim - 1))) == mask

    def target(batch: Batch) -> Float[Array, "n *space o"]:
        if "share" in batch:
            shares = batch["share"]
        else:
            shares = members(batch["mask"]).astype(jnp.float32)
        if exclusive:
            background = 1 - shares.sum(-1, keepdims=True)
            return jnp.concatenate([background, shares], axis=-1)
        return shares

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

    def measure(probs: Float[Array, "n *space o"], batch: Batch) -> metrics.Counts:
        return metrics.counts(decide(probs), members(batch["mask"]))

    return Task(
        name="segmentation",
        classes=tuple(classes),
        named_by="classes",
        uses_masks=True,
        outputs=len(classes) + exclusive,
        exclusive=exclusive,
        target=target,
        probabilities=probabilities,
        unflip=jnp.flip,
        resize=_to_mask,
        predict=predict,
        measure=measure,
    )


def classification(
    classes: Sequence[str], *, exclusive: bool = True, threshold: float = 0.5
) -> Task:
    """Whole images, each of one class. Labels are places in `classes`.

    The classes compete in a softmax if `exclusive`; else each has a sigmoid, but of two
    classes the last alone. Probabilities are of every class either way. Of two classes
    the last is predicted above `threshold`, of more the most probable one.
    """
    count = len(classes)
    lone = count == 2 and not exclusive

    def target(batch: Batch) -> Int[Array, " n"] | Float[Array, "n o"]:
        if exclusive:
            return batch["label"]
        if lone:
            return batch["label"][:, None].astype(jnp.float32)
        return jax.nn.one_hot(batch["label"], count)

    def probabilities(logits: Float[Array, "n o"]) -> Float[Array, "n c"]:
        if exclusive:
            return jax.nn.softmax(logits)
        if lone:
            return jax.nn.sigmoid(jnp.concatenate([-logits, logits], axis=-1))
        return jax.nn.sigmoid(logits)

    def predict(probs: Float[Array, "n c"]) -> Int[Array, " n"]:
        if count == 2:
            return (probs[:, 1] > threshold).astype(jnp.int32)
        return probs.argmax(-1).astype(jnp.int32)

    def measure(probs: Float[Array, "n c"], batch: Batch) -> class_scores.Decided:
        return class_scores.Decided(probs, predict(probs), batch["label"])

    return Task(
        name="classification",
        classes=tuple(classes),
        named_by="labels",
        uses_masks=False,
        outputs=1 if lone else count,
        exclusive=exclusive,
        target=target,
        probabilities=probabilities,
        unflip=lambda probs, axes: probs,
        resize=lambda probs, batch: probs,
        predict=predict,
        measure=measure,
    )


def _to_mask(maps: Float[Array, "n *space c"], batch: Batch) -> Array:
    """To the stored mask's own resolution."""
    size = batch["mask"].shape[1:-1]
    if maps.shape[1:-1] == size:
        return maps
    return jax.image.resize(maps, (len(maps), *size, maps.shape[-1]), "linear")
