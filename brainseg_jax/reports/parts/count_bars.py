"""Bars of counts: classes, folds, what is known of patients."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from brainseg_jax.reports.parts import class_figures, figures

UNKNOWN = "not known"
MOST_BARS = 12  # of numbers with more values than that, a histogram is drawn

Counts = Mapping[str, int]


def count_charts(
    charts: Mapping[str, Counts],
    path: str | Path,
    *,
    columns: int = 3,
    title: str,
    note: str = "",
) -> Path:
    """A chart for each heading, with a bar and its number for each name.

    Raises:
        ValueError: if there is nothing to draw.
    """
    stacks = {
        heading: {name: {"": count} for name, count in counts.items()}
        for heading, counts in charts.items()
    }
    return stacked_charts(stacks, path, columns=columns, title=title, note=note)


def stacked_charts(
    charts: Mapping[str, Mapping[str, Counts]],
    path: str | Path,
    *,
    columns: int = 2,
    title: str,
    note: str = "",
) -> Path:
    """Bars like those of `count_charts`, each of coloured parts that a legend names.

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not any(charts.values()):
        raise ValueError(f"{path}: there is nothing to count.")
    columns = min(columns, len(charts))
    rows = [
        list(charts.items())[first : first + columns]
        for first in range(0, len(charts), columns)
    ]
    heights = [0.8 + 0.2 * max(2, *(len(bars) for _, bars in row)) for row in rows]
    named = any(len(parts) > 1 for bars in charts.values() for parts in bars.values())
    with figures.page(path, title, note, sum(heights) + 0.15 * named) as figure:
        grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
        for row, line in zip(rows, grid, strict=True):
            for axes in line[len(row) :]:
                axes.set_axis_off()
            for axes, (heading, bars) in zip(line, row, strict=False):
                _draw_bars(axes, bars, max(2, *(len(other) for _, other in row)))
                axes.set_title(textwrap.fill(heading, 90 // columns))
    return Path(path)


def column_counts(values: Sequence[str]) -> dict[str, int]:
    """How often each value of a table's column occurs; numbers in order, many in bins.

    "" is counted as not known, and comes last.
    """
    known = [value for value in values if value]
    numbers = _numbers(known)
    if numbers is not None and len(set(known)) > MOST_BARS:
        counts = _binned(numbers)
    else:
        names = sorted(set(known), key=float if numbers is not None else str)
        counts = {name: known.count(name) for name in names}
    if missing := len(values) - len(known):
        counts[UNKNOWN] = missing
    return counts


def _binned(numbers: np.ndarray) -> dict[str, int]:
    """Between round numbers: "20 to 29" of whole ones, else up to "0.4 to 0.6"."""
    spread = max(float(np.ptp(numbers)), 1e-9)
    step = 10.0 ** np.floor(np.log10(spread))
    step *= min((0.1, 0.2, 0.5, 1.0), key=lambda part: abs(spread / (part * step) - 7))
    # 0.6 / 0.2 is a little less than 3.
    bins = np.floor(numbers / step + 1e-9).astype(int)
    first = bins.min()
    bins -= first
    whole = step >= 1 and bool((numbers == np.round(numbers)).all())
    return {
        f"{low:g} to {low + step - whole:g}": int(count)
        for low, count in zip(
            (first + np.arange(bins.max() + 1)) * step, np.bincount(bins), strict=True
        )
    }


def _numbers(values: Sequence[str]) -> np.ndarray | None:
    try:
        found = np.array([float(value) for value in values])
    except ValueError:
        return None
    return found if np.isfinite(found).all() else None


def _draw_bars(axes: Axes, bars: Mapping[str, Counts], rows: int) -> None:
    """As thick as if there were `rows` of them; each one's number stands at its end."""
    places = np.arange(len(bars))
    parts = list(dict.fromkeys(part for counts in bars.values() for part in counts))
    ends = np.zeros(len(bars))
    for number, part in enumerate(parts):
        lengths = np.array([counts.get(part, 0) for counts in bars.values()], float)
        colour = class_figures.COLOURS[number % len(class_figures.COLOURS)]
        if len(parts) == 1:
            colour = class_figures.COLOURS[5]
        axes.barh(places, lengths, left=ends, height=0.72, color=colour, label=part)
        ends += lengths
    for place, end in enumerate(ends):
        axes.text(end, place, f" {end:,.0f}", va="center_baseline", fontsize=7.5)
    names = [textwrap.shorten(name, 28, placeholder="…") for name in bars]
    axes.set_yticks(places, names)
    axes.set(xticks=[], ylim=(rows - 0.4, -0.6))
    axes.set_xlim(0, 1.18 * max(ends.max(initial=0), 1))
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.spines["bottom"].set_visible(False)
    if len(parts) > 1:
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(0, -0.01),
            ncols=3,
            fontsize=7.5,
            borderaxespad=0,
        )
