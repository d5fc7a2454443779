"""What an experiment sets: every key that differs from base, beside base's default."""

from typing import Any

from ml_collections import ConfigDict
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from brainseg_jax.runs import config_changes


def run(request: Any) -> None:
    """--mode=config."""
    show(request.config, request.base_config())


def show(config: ConfigDict, base: ConfigDict) -> None:
    """Prints a table of the keys that differ, then how many do not."""
    different, same = config_changes.compare(config, base)
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
