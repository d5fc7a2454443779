"""What a page is made of, whether it is written as HTML or as Markdown."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

from rich.table import Table
from rich.text import Text as Styled

NUMBER = re.compile(r"[-+]?\d|not defined|one patient")


class Text(NamedTuple):
    """A paragraph."""

    words: str


class Alert(NamedTuple):
    """A paragraph that nobody may overlook."""

    words: str


class Points(NamedTuple):
    """A list."""

    lines: Sequence[str]


class Grid(NamedTuple):
    """A table; columns without any name have no heading."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    @property
    def of_numbers(self) -> list[bool]:
        """Of each column but the first, whether all its cells begin as numbers do."""
        columns = [*zip(*self.rows, strict=True)] or [()] * len(self.columns)
        return [
            place > 0 and all(NUMBER.match(cell) for cell in cells if cell)
            for place, cells in enumerate(columns)
        ]


class Picture(NamedTuple):
    """A PNG: its name from the report's folder on, and its content."""

    name: str
    caption: str
    content: bytes


class Section(NamedTuple):
    """A heading and what stands below it."""

    title: str
    blocks: Sequence["Block"]


Block = Union[Text, Alert, Points, Grid, Picture, Section]  # noqa: UP007 - Section is later


def facts(said: Mapping[str, Any], columns: Sequence[str] = ("", "")) -> Grid:
    """A row for each name and what is said of it, without those of which nothing is."""
    rows = [
        (name, str(value)) for name, value in said.items() if value not in ("", None)
    ]
    return Grid(columns, rows)


def of_table(table: Table) -> Grid:
    """A table as it is printed, in the same words."""
    cells = [[_plain(cell) for cell in column.cells] for column in table.columns]
    names = [_plain(column.header) for column in table.columns]
    return Grid(names, [*zip(*cells, strict=True)], _plain(table.caption or ""))


def _plain(cell: Any) -> str:
    return cell.plain if isinstance(cell, Styled) else str(cell)
