"""A task: pure functions between batches, logits and what is measured and written."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxtyping import Array

from brainseg_jax.models.parts.heads import Heads

Batch = dict[str, Array]
Each = Any  # of one task its own; of a net with two heads the Heads of both


@dataclasses.dataclass(frozen=True)
class Task:
    """How a batch becomes a target, and logits become what is measured and written.

    How its scores become tables and pictures: brainseg_jax/reports/<name>.py.
    """

    name: str
    classes: Each  # names of what is scored, without background: a tuple
    uses_masks: bool
    outputs: Each  # channels of the logits
    exclusive: Each  # softmax over classes (of masks: and background), else sigmoids
    target: Callable[[Batch], Each]
    probabilities: Callable[[Each], Each]  # of logits
    unflip: Callable[[Each, tuple[int, ...]], Each]  # of a mirror image's output
    resize: Callable[[Each, tuple[int, ...]], Each]  # an output, to a grid's size
    predict: Callable[[Each], Each]  # probabilities -> the publisher's labels
    mark: Callable[[Each], Each]  # where each class of a mask is; None without masks
    measure: Callable[[Each, Batch], Any]  # arrays with a value per example
    heads: Heads | None = None  # the tasks of both
