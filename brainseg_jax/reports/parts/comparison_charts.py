"""Charts of several runs: their curves of training, their scores as bars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from brainseg_jax.metrics.segmentation import bootstrap_interval
from brainseg_jax.reports.parts import class_figures, figures

History = Sequence[Mapping[str, float]]
MARKERS, DASHES = "osD^vPX", ("-", "--", ":")  # grey prints tell runs apart, too
PANELS, IN_A_LINE = 4, 4  # curves' panels; runs in a line of the legend


def curves(
    histories: Mapping[str, History],
    path: str | Path,
    *,
    columns: Mapping[str, str],
    title: str,
    note: str = "",
) -> Path:
    """Up to four panels, each with a curve per run over its epochs.

    Args:
        columns: of the histories, and what to call them; those are drawn that every run
            with a history has, the first four.

    Raises:
        ValueError: if there is none.
    """
    known = [history for history in histories.values() if history]
    drawn = {
        column: name
        for column, name in columns.items()
        if known and all(_points(own, column) for own in known)
    }
    drawn = dict(list(drawn.items())[:PANELS])
    if not drawn:
        raise ValueError(f"{path}: the runs share no curve, nothing to draw.")
    epochs = [row["epoch"] for own in known for row in own]
    rows = -(-len(drawn) // 2)
    body = 2.7 * rows + _legend_height(histories)
    with figures.page(path, title, note, body) as figure:
        grid = figure.subplots(rows, 2, squeeze=False).reshape(-1)
        for axes in grid[len(drawn) :]:
            axes.set_axis_off()
        for axes, (column, name) in zip(grid, drawn.items(), strict=False):
            for number, history in enumerate(histories.values()):
                _draw_curve(axes, _points(history, column), number)
            axes.set_title(name)
            figures.epoch_axis(axes, epochs)
            if "loss" not in column:
                axes.set_ylim(0, 1.02)
        handles = [
            Line2D([], [], label=run, **_line(number))
            for number, run in enumerate(histories)
        ]
        _name_runs(figure, handles)
    return Path(path)


def bars(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    path: str | Path,
    *,
    title: str,
    note: str = "",
) -> Path:
    """The mean over patients of each score and run, with its 95 % interval.

    `scores`: score -> run -> a value per patient, all between 0 and 1.

    Raises:
        ValueError: if there is no score.
    """
    if not scores:
        raise ValueError(
            f"{path}: no patient has a score in every run, nothing to draw."
        )
    runs = list(next(iter(scores.values())))
    body = 0.5 + len(scores) * (0.19 * len(runs) + 0.16) + _legend_height(runs)
    with figures.page(path, title, note, max(body, 1.6)) as figure:
        axes = figure.subplots()
        for row, own in enumerate(scores.values()):
            for number, values in enumerate(own.values()):
                _draw_bar(axes, row, number, len(runs), np.array(values, float))
        axes.set_yticks(range(len(scores)), [_wrapped(name) for name in scores])
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(0, 1.09), ylim=(len(scores) - 0.5, -0.5))
        axes.set_xticks(np.linspace(0, 1, 6).round(1).tolist())
        axes.set_xlabel("Mean over patients, with its 95 % interval")
        axes.grid(True, axis="x")
        handles = [
            Patch(color=_colour(place), label=run) for place, run in enumerate(runs)
        ]
        _name_runs(figure, handles)
    return Path(path)


def _points(history: History, column: str) -> list[tuple[float, float]]:
    return [
        (row["epoch"], row[column])
        for row in history
        if column in row and np.isfinite(row[column])
    ]


def _draw_curve(axes: Axes, points: list[tuple[float, float]], number: int) -> None:
    if points:
        # As many markers as tell runs apart, and not one on another.
        every = max(1, len(points) // 8)
        axes.plot(*zip(*points, strict=True), markevery=(0, every), **_line(number))


def _draw_bar(axes: Axes, row: int, number: int, runs: int, values: np.ndarray) -> None:
    height = 0.8 / runs
    middle = row + (number - (runs - 1) / 2) * height
    mean = float(np.nanmean(values))
    low, high = bootstrap_interval(values)
    axes.barh(middle, mean, height=0.88 * height, color=_colour(number))
    if np.isfinite(low):
        ends = [[mean - low], [high - mean]]
        axes.errorbar(mean, middle, xerr=ends, c=figures.INK, capsize=2, lw=1)
    right = high if np.isfinite(high) else mean
    axes.text(right + 0.01, middle, f"{mean:.3f}", va="center_baseline", fontsize=7.5)


def _line(number: int) -> dict[str, Any]:
    return {
        "c": _colour(number),
        "marker": MARKERS[number % len(MARKERS)],
        "ls": DASHES[number // len(class_figures.COLOURS) % len(DASHES)],
    }


def _colour(number: int) -> str:
    return class_figures.COLOURS[number % len(class_figures.COLOURS)]


def _name_runs(figure: Figure, handles: Sequence[Artist]) -> None:
    # A legend is filled by columns, and read by lines.
    count = min(IN_A_LINE, len(handles))
    in_lines = [one for column in range(count) for one in handles[column::count]]
    figure.legend(handles=in_lines, loc="outside lower center", ncols=count)


def _legend_height(runs: Mapping[str, Any] | Sequence[str]) -> float:
    return 0.1 + 0.2 * -(-len(runs) // IN_A_LINE)


def _wrapped(name: str) -> str:
    """On two lines where it is long."""
    if len(name) <= 24:
        return name
    place = name.find(" ", len(name) // 2 - 2)
    return f"{name[:place]}\n{name[place + 1 :]}" if place > 0 else name
