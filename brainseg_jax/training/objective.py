"""What is minimised: a weighted sum of losses, over all outputs of a net."""

from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array, Float

from brainseg_jax import losses, registry
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.tasks.parts.task import Batch, Task

Loss = Callable[[Any, Batch], tuple[Float[Array, " n"], dict[str, Float[Array, " n"]]]]


def make_loss(
    weighted: Mapping[str, Mapping[str, Any]], task: Task
) -> Callable[[Array, Batch], tuple[Array, Batch]]:
    """Sum of losses by weight; gives it and each term, per example.

    Of several outputs (deep supervision), finest first, each counts half of the one before,
    all together one; the terms are the finest one's.

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
        outputs = logits if isinstance(logits, tuple) else (logits,)
        target = task.target(batch)
        values = [of_one(output, _shrunk(target, output)) for output in outputs]
        total = sum(
            weight * share * of_output[name]
            for share, of_output in zip(_shares(len(outputs)), values, strict=True)
            for name, weight, _, _ in terms
        )
        return total, values[0] if len(values[0]) > 1 else {}

    return loss


def join(loss_of: Heads) -> Callable[[Heads, Batch], tuple[Array, Batch]]:
    """The sum of both heads' losses; its terms are mask_loss, label_loss, mask_dice..."""

    def loss(logits: Heads, batch: Batch) -> tuple[Array, Batch]:
        found = loss_of.map(lambda one, own: one(own, batch), logits)
        terms: Batch = {}
        for head, (total, of_head) in found.items():
            named = {"loss": total, **of_head}
            terms |= {f"{head}_{name}": term for name, term in named.items()}
        return found.mask[0] + found.label[0], terms

    return loss


def _shares(outputs: int) -> list[float]:
    """Each output counts half of the one before; together they count as one."""
    return [2.0 ** (outputs - 1 - k) / (2**outputs - 1) for k in range(outputs)]


def _shrunk(target: Array, logits: Array) -> Array:
    """Maps at the size of some logits, whole times smaller: each window's mean."""
    for axis in range(1, logits.ndim - 1):
        size = logits.shape[axis]
        if target.shape[axis] != size:
            shape = (*target.shape[:axis], size, -1, *target.shape[axis + 1 :])
            target = target.reshape(shape).mean(axis + 1)
    return target
