"""A page as one HTML file: pictures and style are in it, and nothing is loaded.

Everything that comes from data is escaped. The page's own policy forbids the browser any
address but those of its pictures, and any script.
"""

import base64
import html
from collections.abc import Sequence

from brainseg_jax.reports.page import style
from brainseg_jax.reports.page.blocks import (
    Alert,
    Block,
    Grid,
    Picture,
    Points,
    Section,
    Text,
)

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def document(title: str, top: Sequence[Block], sections: Sequence[Section]) -> str:
    """The whole file; `top` stands above the list of sections."""
    head = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        f"<style>\n{style.CSS}\n</style>",
    ]
    links = [
        f'<a href="#part-{place}">{html.escape(section.title)}</a>'
        for place, section in enumerate(sections)
    ]
    body = [
        f"<h1>{html.escape(title)}</h1>",
        *map(block, top),
        f"<nav>\n{_lines(links)}\n</nav>",
        *(
            f'<section id="part-{place}">\n{_section(section)}\n</section>'
            for place, section in enumerate(sections)
        ),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{_lines(head)}\n</head>\n'
        f"<body>\n{_lines(body)}\n</body>\n</html>\n"
    )


def block(one: Block, level: int = 3) -> str:
    """One block; a section within another has a heading of this level."""
    match one:
        case Text(words):
            return f"<p>{html.escape(words)}</p>"
        case Alert(words):
            return f'<p class="alert">{html.escape(words)}</p>'
        case Points(lines):
            items = [f"<li>{html.escape(line)}</li>" for line in lines]
            return f"<ul>\n{_lines(items)}\n</ul>"
        case Grid():
            return _table(one)
        case Picture():
            return _picture(one)
        case Section():
            return _section(one, level)


def _section(section: Section, level: int = 2) -> str:
    heading = f"<h{level}>{html.escape(section.title)}</h{level}>"
    return _lines([heading, *(block(one, level + 1) for one in section.blocks)])


def _table(grid: Grid) -> str:
    """Numbers stand to the right, words to the left."""
    looks = [' class="number"' if right else "" for right in grid.of_numbers]

    def row(tag: str, cells: Sequence[str]) -> str:
        parts = (
            f"<{tag}{look}>{html.escape(cell)}</{tag}>"
            for look, cell in zip(looks, cells, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    # Beside the table, which a phone shows in part.
    caption = f'\n<p class="caption">{html.escape(grid.caption)}</p>'
    head = f"<thead>{row('th', grid.columns)}</thead>" if any(grid.columns) else ""
    rows = _lines([row("td", cells) for cells in grid.rows])
    return (
        f'<div class="wide"><table>{head}<tbody>\n{rows}\n</tbody></table></div>'
        f"{caption if grid.caption else ''}"
    )


def _picture(picture: Picture) -> str:
    content = base64.b64encode(picture.content).decode()
    caption = html.escape(picture.caption)
    return (
        f'<figure><div class="picture"><img alt="{html.escape(picture.name)}" '
        f'src="data:image/png;base64,{content}"></div>\n'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _lines(parts: Sequence[str]) -> str:
    return "\n".join(parts)
