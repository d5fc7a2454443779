"""What is minimised: a weighted sum of losses, over all heads of deep supervision."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array, Float

from brainseg_jax import losses, registry
from brainseg_jax.tasks.parts.task import Batch, Task

Loss = Callable[
    [Array, Batch], tuple[Float[Array, " n"], dict[str, Float[Array, " n"]]]
]


def make_loss(
    weighted: Mapping[str, Mapping[str, Any]], task: Task
) -> Callable[[Array, Batch], tuple[Array, Batch]]:
    """Sum of losses by weight; gives it and each term, per example.

    Of several heads (deep supervision), finest first, each counts half of the one before,
    all together one; the terms are the finest head's.

    Raises:
        ValueError: if no loss is given, or one of an unknown name.
    """
    terms = []
    for name, settings in weighted.items():
        options = {
            key: tuple(v) if isinstance(v, list) else v
            for key, v in settings.items()
            if key != "weight"
        }
        terms.append(
            (name, settings["weight"], options, registry.find(losses, name).loss)
        )
    if not terms:
        raise ValueError(
            "config.losses is empty; give at least one loss a weight, "
            "e.g. config.losses.dice = dict(weight=1.0)."
        )

    def of_one(logits: Array, target: Array) -> Batch:
        return {
            name: function(logits, target, exclusive=task.exclusive, **options)
            for name, _, options, function in terms
        }

    def loss(logits: Array | tuple[Array, ...], batch: Batch) -> tuple[Array, Batch]:
        heads = logits if isinstance(logits, tuple) else (logits,)
        target = task.target(batch)
        values = [of_one(head, _shrunk(target, head)) for head in heads]
        total = sum(
            weight * share * of_head[name]
            for share, of_head in zip(_shares(len(heads)), values, strict=True)
            for name, weight, _, _ in terms
        )
        return total, values[0] if len(values[0]) > 1 else {}

    return loss


def _shares(heads: int) -> list[float]:
    """Each head counts half of the one before; together they count as one."""
    return [2.0 ** (heads - 1 - k) / (2**heads - 1) for k in range(heads)]


def _shrunk(target: Array, logits: Array) -> Array:
    """Maps at the size of some logits, whole times smaller: each window's mean."""
    for axis in range(1, logits.ndim - 1):
        size = logits.shape[axis]
        if target.shape[axis] != size:
            shape = (*target.shape[:axis], size, -1, *target.shape[axis + 1 :])
            target = target.reshape(shape).mean(axis + 1)
    return target
