"""A pair of values, one for each head of a net that gives masks and classes."""

from collections.abc import Callable
from typing import Any

import flax.struct


@flax.struct.dataclass
class Heads:
    """What belongs to the head of masks, and to the head of labels of whole images.

    Logits, targets, tasks, losses, scores. No tuple, which of logits is deep supervision.
    """

    mask: Any
    label: Any

    def map(self, function: Callable[..., Any], *others: "Heads") -> "Heads":
        """The function of each head's own values, of this pair and of the others."""
        return Heads(
            mask=function(self.mask, *(other.mask for other in others)),
            label=function(self.label, *(other.label for other in others)),
        )

    def items(self) -> tuple[tuple[str, Any], tuple[str, Any]]:
        """Each head's name with its value."""
        return ("mask", self.mask), ("label", self.label)
