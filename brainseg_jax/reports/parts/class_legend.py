"""The legend of several classes, at the foot of a page of pictures."""

from collections.abc import Mapping

from matplotlib import patches
from matplotlib.figure import Figure

from brainseg_jax.reports.parts import example_panels, figures
from brainseg_jax.reports.parts.example_panels import Labels

LINE, LETTER, PATCH = 0.2, 0.08, 0.55  # inches: of a line, of a letter, of a colour
MARGIN = 0.08  # inches, as around the pictures


def height(classes: Mapping[str, Labels]) -> float:
    """In inches; a lone class needs none."""
    if len(classes) < 2:
        return 0
    return LINE * -(-len(classes) // _columns(classes)) + 0.1


def draw(figure: Figure, classes: Mapping[str, Labels]) -> None:
    """Names the colour of each class, unless it is the only one."""
    if len(classes) < 2:
        return
    colours = example_panels.class_colours(classes)
    handles = [
        patches.Patch(color=(red / 255, green / 255, blue / 255), label=name)
        for name, (red, green, blue) in zip(classes, colours, strict=True)
    ]
    columns = _columns(classes)
    figure.legend(handles=handles, loc="lower center", ncols=columns, borderaxespad=0.3)


def _columns(classes: Mapping[str, Labels]) -> int:
    """As many as have room for the longest name."""
    longest = PATCH + LETTER * max(map(len, classes))
    return min(len(classes), max(1, int((figures.WIDTH - 2 * MARGIN) / longest)))
