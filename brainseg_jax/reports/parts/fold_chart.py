"""What each fold's patients scored, and all together, as points with their mean."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from brainseg_jax.metrics.segmentation import bootstrap_interval
from brainseg_jax.reports.parts import figures
from brainseg_jax.reports.parts.patient_scores import Scores

POOLED = "all folds"
ABOVE = 0.08  # a fold's mean above the middle of its line; its points lie below
GOLDEN = 0.618  # keeps points apart that come one after the other


def fold_chart(
    scores: Scores,
    folds: Mapping[str, str],
    path: str | Path,
    *,
    title: str,
    note: str = "",
) -> Path:
    """A panel per score: a line of points per fold, then one of all patients.

    Args:
        scores: score -> patient -> value between 0 and 1; NaN is left out.
        folds: the fold of each patient.

    Raises:
        ValueError: if there is no score.
    """
    if not scores:
        raise ValueError(f"{path}: no patient has a score, nothing to draw.")
    names = list(dict.fromkeys(folds.values()))
    body = 0.75 + 0.46 * (1 + len(names))
    with figures.page(path, title, note, body) as figure:
        panels = figure.subplots(1, len(scores), squeeze=False, sharey=True)[0]
        for axes, (name, of_patients) in zip(panels, scores.items(), strict=True):
            lines = _by_fold(of_patients, folds)
            for place, (fold, values) in enumerate(lines.items()):
                _draw_line(axes, place, values, pooled=fold == POOLED)
            axes.set_yticks(
                range(len(lines)),
                [f"{fold} (n = {len(own)})" for fold, own in lines.items()],
            )
            axes.axhline(len(names) - 0.5, c=figures.QUIET, lw=0.8)
            axes.tick_params(axis="y", length=0)
            axes.set(xlim=(-0.02, 1.02), ylim=(len(lines) - 0.5, -0.5))
            axes.set_xlabel(f"{name[0].upper()}{name[1:]} of each patient")
            axes.grid(True, axis="x")
        figure.legend(handles=_meanings(), loc="outside lower center", ncols=3)
    return Path(path)


def _by_fold(
    values: Mapping[str, float], folds: Mapping[str, str]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Known scores of each fold's patients, in the order of folds, then all of them."""
    lines = {
        fold: np.array([values[one] for one in values if folds[one] == fold])
        for fold in dict.fromkeys(folds.values())
    }
    lines[POOLED] = np.concatenate(list(lines.values()))
    return {fold: own[np.isfinite(own)] for fold, own in lines.items()}


def _draw_line(
    axes: Axes, place: int, values: Float[np.ndarray, " n"], *, pooled: bool
) -> None:
    if not len(values):
        axes.text(0.01, place, "no score", va="center_baseline", fontsize=7.5)
        return
    below = 0.1 + 0.26 * (GOLDEN * np.arange(len(values)) % 1)
    colour = figures.ORANGE if pooled else figures.BLUE
    axes.plot(values, place + below, "o", c=figures.SKY, ms=3.5, mew=0, zorder=2)
    mean = float(values.mean())
    low, high = bootstrap_interval(values)
    if np.isfinite(low):
        axes.plot([low, high], [place - ABOVE] * 2, c=colour, lw=2.2, zorder=3)
    axes.plot([mean], [place - ABOVE], "D", c=colour, ms=6, zorder=4)
    axes.text(mean, place - 0.32, f"{mean:.3f}", ha="center", va="center", fontsize=8)


def _meanings() -> list[Line2D]:
    return [
        Line2D([], [], c=figures.SKY, marker="o", ms=3.5, ls="", label="a patient"),
        Line2D([], [], c=figures.INK, marker="D", ms=6, ls="", label="mean"),
        Line2D([], [], c=figures.INK, lw=2.2, label="its 95 % interval"),
    ]
