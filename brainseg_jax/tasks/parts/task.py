"""A task: pure functions between batches, logits and what is measured and written."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxtyping import Array

Batch = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Task:
    """How a batch becomes a target, and logits become what is measured and written.

    How its scores become tables and pictures: brainseg_jax/reports/<name>.py.
    """

    name: str
    classes: tuple[str, ...]  # what is scored, without background
    uses_masks: bool
    outputs: int  # channels of the logits
    exclusive: bool  # softmax over classes (of masks: and background), else sigmoids
    target: Callable[[Batch], Array]
    probabilities: Callable[[Array], Array]
    unflip: Callable[[Array, tuple[int, ...]], Array]  # of a mirror image's output
    resize: Callable[[Array, tuple[int, ...]], Array]  # an output, to a grid's size
    predict: Callable[[Array], Array]  # probabilities -> the publisher's labels
    measure: Callable[[Array, Batch], Any]  # arrays with a value per example
