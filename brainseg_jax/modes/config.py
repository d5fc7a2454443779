"""What an experiment sets: every key that differs from base, beside base's default."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

NOT_SET = "-"  # a key that only one of the two has: an option, a loss


class Comparison(NamedTuple):
    """An experiment beside base, values as they are written in Python."""

    different: list[tuple[str, str, str]]  # key, value in the experiment, value in base
    same: int  # how many keys have base's value


def run(request: Any) -> None:
    """--mode=config."""
    show(request.config, request.base_config())


def show(config: ConfigDict, base: ConfigDict) -> None:
    """Prints a table of the keys that differ, then how many do not."""
    different, same = compare(config, base)
    if different:
        table = Table(box=box.SIMPLE_HEAD)
        for column in ("key", "this experiment", "default in base"):
            table.add_column(column, no_wrap=True)
        for row in different:
            table.add_row(*map(escape, row))
        # As wide as it is: a key cut short could not be copied.
        width = Console(width=1000).measure(table).maximum
        Console(width=width).print(table)
    print(f"{same} more keys have their default: configs/base.py lists them.")


def compare(config: ConfigDict, base: ConfigDict) -> Comparison:
    """Pure: what `show` prints."""
    ours, defaults = _leaves(config.to_dict()), _leaves(base.to_dict())
    different, same = [], 0
    for key in sorted({*ours, *defaults}):
        if key in ours and key in defaults and ours[key] == defaults[key]:
            same += 1
            continue
        different.append((key, _written(key, ours), _written(key, defaults)))
    return Comparison(different, same)


def _written(key: str, values: Mapping[str, Any]) -> str:
    return repr(values[key]) if key in values else NOT_SET


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their keys with dots; a part without keys has none."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves
