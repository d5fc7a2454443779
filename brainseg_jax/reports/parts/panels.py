"""Pictures in a grid, each with a caption above it."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from brainseg_jax.reports.parts import class_legend, figures
from brainseg_jax.reports.parts.example_panels import Labels

MARGIN, GAP, APART = 0.08, 0.06, 0.22  # inches: around, between panels, between groups
LINE = 0.125  # inches of a line of a caption
SIZE = 7  # points


class Panel(NamedTuple):
    """A picture and what to say above it, a line break where one is wanted."""

    picture: UInt8[np.ndarray, "h w 3"]
    caption: str


def draw_panels(
    panels: Sequence[Panel],
    columns: int,
    path: str | Path,
    *,
    together: int = 1,
    classes: Mapping[str, Labels] | None = None,
    title: str,
    note: str = "",
) -> Path:
    """Row by row; `together`: how many panels side by side belong to one another.

    The colours of `classes` are named at the foot, if they are several.

    Raises:
        ValueError: if there is no panel.
    """
    if not panels:
        raise ValueError(f"{path}: there is no picture to draw.")
    left = _left_edges(columns, together)
    side = figures.WIDTH - MARGIN - left[-1]
    width = int((side + GAP / 2) / (SIZE * 0.5 / 72))  # letters that fit above a panel
    captions = [_wrapped(panel.caption, width) for panel in panels]
    rows = [
        range(i, min(i + columns, len(panels))) for i in range(0, len(panels), columns)
    ]
    above = [
        0.1 + LINE * max(1 + captions[place].count("\n") for place in row)
        for row in rows
    ]
    legend = class_legend.height(classes or {})
    body = sum(above) + len(rows) * side + 2 * MARGIN + legend
    with figures.page(path, title, note, body) as figure:
        # Placed by hand, as in mask_panels.five_panels.
        figure.set_layout_engine("none")
        height, y = figure.get_figheight(), body
        for row, room in zip(rows, above, strict=True):
            y -= room + side
            for place, x in zip(row, left, strict=False):
                box = (x / figures.WIDTH, y / height)
                size = (side / figures.WIDTH, side / height)
                axes = figure.add_axes((*box, *size), facecolor="black")
                axes.set(xticks=[], yticks=[])
                axes.imshow(panels[place].picture, interpolation="nearest")
                axes.spines[:].set_visible(False)
                top = (y + side + 0.03) / height
                figure.text(box[0], top, captions[place], va="bottom", fontsize=SIZE)
        class_legend.draw(figure, classes or {})
    return Path(path)


def _left_edges(columns: int, together: int) -> list[float]:
    """Where each column begins, so that the row fills the page."""
    gaps = [APART if place % together == 0 else GAP for place in range(1, columns)]
    side = (figures.WIDTH - 2 * MARGIN - sum(gaps)) / columns
    return [MARGIN + place * side + sum(gaps[:place]) for place in range(columns)]


def _wrapped(caption: str, width: int) -> str:
    lines = caption.split("\n")
    return "\n".join(textwrap.fill(line, width) if line else "" for line in lines)
