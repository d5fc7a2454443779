"""Refusing a model's options; whoever built the model knows where a user gave them."""

from collections.abc import Sequence
from typing import Any


class BadOption(ValueError):
    """An option that cannot be what it is; the message begins with the option's name.

    Without one it is about several options, such as all rates of dropout.
    """

    def __init__(self, option: str, sentence: str) -> None:
        super().__init__(f"{option} {sentence}" if option else sentence)
        self.option = option


def check_known(option: str, value: Any, known: Sequence[str]) -> None:
    """Raises BadOption for a value that is none of those `known`."""
    if value not in known:
        raise BadOption(option, f"is {value!r}; it can be {', '.join(known)}.")


def check_share(option: str, value: float) -> None:
    """Raises BadOption for a share that is below 0, or leaves nothing of the rest."""
    if not 0 <= value < 1:
        raise BadOption(option, f"is {value}; it has to be 0 or more and below 1.")
