"""Whole images, each of one class."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from brainseg_jax.metrics import decisions
from brainseg_jax.tasks.parts.task import Batch, Task

NAMED_BY = "labels"


def make_task(classes: Sequence[str], *, exclusive: bool, threshold: float) -> Task:
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

    def measure(probs: Float[Array, "n c"], batch: Batch) -> decisions.Decided:
        return decisions.Decided(probs, predict(probs), batch["label"])

    return Task(
        name="classification",
        classes=tuple(classes),
        uses_masks=False,
        outputs=1 if lone else count,
        exclusive=exclusive,
        target=target,
        probabilities=probabilities,
        unflip=lambda probs, axes: probs,
        resize=lambda probs, grid: probs,
        predict=predict,
        measure=measure,
    )
