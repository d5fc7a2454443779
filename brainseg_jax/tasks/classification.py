"""Classification: each image is of one class."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from brainseg_jax.metrics import decisions
from brainseg_jax.tasks.parts.task import Batch, Task

NAMED_BY = ("labels",)


def make_task(classes: Sequence[str], *, exclusive: bool, threshold: float) -> Task:
    """The task of classifying images. A label is a place in `classes`.

    With `exclusive` the classes share a softmax. Else each has a sigmoid, but two classes
    have one alone, the second's. There is a probability for every class either way. The
    second of two classes is predicted above `threshold`; of more, the most probable one.
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
        mark=lambda probs: None,
        measure=measure,
    )
