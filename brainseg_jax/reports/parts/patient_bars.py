"""Scores per patient as bars, with their mean and its interval."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import patches
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from brainseg_jax.metrics.segmentation import bootstrap_interval
from brainseg_jax.reports.parts import class_figures, figures

FAINT = 0.55  # coloured bars, so that the numbers on them can be read


def patient_bars(
    patients: Sequence[str],
    dice: Sequence[float] | Float[np.ndarray, " n"] | Float[np.ndarray, "n c"],
    path: str | Path,
    *,
    classes: Sequence[str] = (),
    interval: tuple[float, float] | None = None,
    score: str = "Dice",
    title: str = "Dice per patient",
    note: str = "",
) -> Path:
    """A bar per patient, best first, with the mean, its 95 % interval and the median.

    Args:
        dice: or another score, called `score`; NaN where a patient has none: listed last,
            and left out of the mean.
        classes: then `dice` has a column for each; a patient has a coloured bar for each
            of those it has a score of, and counts by their mean.
        interval: of the mean; None: the bootstrap over patients (10,000 draws).

    Raises:
        ValueError: if patients and scores are not as many, or no patient has a score.
    """
    each = np.asarray(dice, float).reshape(len(dice), -1)
    if len(patients) != len(each) or not np.isfinite(each).any():
        raise ValueError(
            f"{path}: {len(patients)} patients and {np.isfinite(each).sum()} scores of"
            f" {each.size} that are numbers; give each patient one, and at least one."
        )
    scores = mean_of_each(each)
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    known = scores[np.isfinite(scores)]
    if interval is None:
        interval = bootstrap_interval(known)
    blocks = np.array_split(order, -(-len(order) // 40))
    rows = max(3, *map(len, blocks))  # room for the names of the axes
    thick = max(1, int(np.isfinite(each).sum(1).max()))  # bars of a patient
    body = 0.85 + thick * max(0.165 * rows, 0.24 * min(rows, 12)) + 0.2 * bool(classes)
    with figures.page(path, title, note, body) as figure:
        grid = figure.subplots(1, len(blocks), squeeze=False, sharex=True)[0]
        for axes, block in zip(grid, blocks, strict=True):
            _draw_bars(axes, [patients[i] for i in block], each[block], rows)
            axes.set_xlabel(score)
            lines = _draw_statistics(axes, scores, interval, coloured=bool(classes))
        handles = [*lines, *_named_colours(classes)]
        # A legend is filled by columns, and read by lines.
        in_lines = [one for column in range(3) for one in handles[column::3]]
        figure.legend(handles=in_lines, loc="outside lower center", ncols=3)
    return Path(path)


def mean_of_each(each: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
    """Of what each patient has; NaN where that is nothing."""
    known = np.isfinite(each)
    total = np.where(known, each, 0).sum(1)
    return np.where(known.any(1), total / np.maximum(known.sum(1), 1), np.nan)


def _draw_bars(
    axes: Axes, patients: Sequence[str], each: Float[np.ndarray, "n c"], rows: int
) -> None:
    for place, scores in enumerate(each):
        own = np.flatnonzero(np.isfinite(scores))
        if not len(own):
            _write(axes, place, "no score")
        for number, column in enumerate(own.tolist()):
            height = 0.72 / len(own)
            middle = place + (number - (len(own) - 1) / 2) * height
            look = _look(column) if each.shape[1] > 1 else {"color": figures.SKY}
            axes.barh(middle, scores[column], height=height, **look)
            # At the foot of the bar, away from the lines of the mean and the median.
            _write(axes, middle, f"{scores[column]:.2f}")
    axes.set_yticks(range(len(each)), [_shortened(name) for name in patients])
    axes.tick_params(axis="y", length=0, labelsize=7.5)
    axes.set(xlim=(0, 1), xticks=(0, 0.25, 0.5, 0.75, 1), ylim=(rows - 0.4, -0.6))
    axes.xaxis.set_major_formatter("{x:g}")


def _write(axes: Axes, place: float, text: str) -> None:
    axes.text(0.015, place, text, va="center_baseline", fontsize=7)


def _look(column: int) -> dict:
    colours = class_figures.COLOURS
    return {"color": colours[column % len(colours)], "alpha": FAINT}


def _named_colours(classes: Sequence[str]) -> list[Artist]:
    return [
        patches.Patch(label=name, lw=0, **_look(column))
        for column, name in enumerate(classes)
    ]


def _shortened(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:13]}…{name[-14:]}"


def _draw_statistics(
    axes: Axes,
    scores: Float[np.ndarray, " n"],
    interval: tuple[float, float],
    *,
    coloured: bool,
) -> list[Artist]:
    """Lines down the bars; each says its value in the legend.

    Black and grey among bars that have colours themselves.
    """
    mean, median = np.nanmean(scores), np.nanmedian(scores)
    first, second = (figures.INK,) * 2 if coloured else (figures.BLUE, figures.ORANGE)
    lines: list[Artist] = [axes.axvline(mean, c=first, label=f"mean {mean:.3f}")]
    low, high = interval
    if not np.isnan(low):
        label = f"95 % interval of the mean {low:.3f}–{high:.3f}"
        lines.append(axes.axvspan(low, high, fc=first, alpha=0.25, lw=0, label=label))
    label = f"median {median:.3f}"
    return [*lines, axes.axvline(median, c=second, ls="--", label=label)]
