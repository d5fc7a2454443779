"""Says which of config.model.options cannot be what it is, and why."""

import contextlib
import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from flax import linen as nn

from brainseg_jax.models.parts.options import BadOption


@contextlib.contextmanager
def naming_the_key() -> Iterator[None]:
    """Gives what a model says of an option the key at which a user set it.

    Models know their options alone; raises ValueError where they raised BadOption.
    """
    try:
        yield
    except BadOption as error:
        joint = "." if error.option else ": "
        raise ValueError(f"config.model.options{joint}{error}") from error


def check_types(name: str, model: type[nn.Module], options: Mapping[str, Any]) -> None:
    """Raises ValueError with the option, its value and an example.

    `name` is the model's in the config. Whole numbers, such as widths, have to be 1 or
    more; options that the model does not have are left to its constructor.
    """
    fields = {field.name: field for field in dataclasses.fields(model)}
    for option, value in options.items():
        if option not in fields or fits(value, fields[option].type):
            continue
        raise ValueError(
            f"config.model.options.{option} of {name} is {value!r}; it has to be "
            f"{_described(fields[option].type)}, like {fields[option].default!r}."
        )


def fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of a type as annotated; True is no number, 1 is a float too."""
    if isinstance(wanted, types.UnionType):
        return any(fits(value, one) for one in typing.get_args(wanted))
    if typing.get_origin(wanted) is tuple:
        of_each, _ = typing.get_args(wanted)
        return isinstance(value, tuple) and all(fits(one, of_each) for one in value)
    if wanted in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, wanted)):
            return False
        return wanted is float or value >= 1
    return not isinstance(wanted, type) or isinstance(value, wanted)


def _described(wanted: Any) -> str:
    if typing.get_origin(wanted) is tuple:
        return f"a tuple of {PLURALS[typing.get_args(wanted)[0]]}"
    if isinstance(wanted, types.UnionType):
        return " or ".join(map(_described, typing.get_args(wanted)))
    return NAMES[wanted]


PLURALS = {int: "whole numbers above 0", float: "numbers"}
NAMES = {
    int: "whole number above 0",
    float: "number",
    bool: "True or False",
    str: "word",
    types.NoneType: "None",
}
