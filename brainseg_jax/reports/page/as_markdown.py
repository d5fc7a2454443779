"""A page as Markdown; pictures are linked to, by their names beside it."""

import re
from collections.abc import Sequence

from brainseg_jax.reports.page.blocks import (
    Alert,
    Block,
    Grid,
    Picture,
    Points,
    Section,
    Text,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def document(title: str, top: Sequence[Block], sections: Sequence[Section]) -> str:
    """The whole file; `top` stands above the first section."""
    parts = [f"# {escape(title)}", *map(block, [*top, *sections])]
    return "\n\n".join(parts) + "\n"


def block(one: Block, level: int = 2) -> str:
    """One block; the heading of a section is of this level."""
    match one:
        case Text(words):
            return escape(words)
        case Alert(words):
            return f"> **{escape(words)}**"
        case Points(lines):
            return "\n".join(f"* {escape(line)}" for line in lines)
        case Grid():
            return _table(one)
        case Picture(name, caption, _):
            return f"![{escape(caption)}]({name})"
        case Section(title, blocks):
            inner = (block(own, level + 1) for own in blocks)
            return "\n\n".join([f"{'#' * level} {escape(title)}", *inner])


def escape(words: str) -> str:
    """As plain words in one line, whatever they hold."""
    return SPECIAL.sub(r"\\\1", " ".join(words.split()))


def _table(grid: Grid) -> str:
    rule = ["---:" if right else "---" for right in grid.of_numbers]
    cells = [[escape(cell) for cell in row] for row in (grid.columns, *grid.rows)]
    lines = [cells[0], rule, *cells[1:]]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{escape(grid.caption)}" if grid.caption else table
