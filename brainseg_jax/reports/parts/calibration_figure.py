"""The reliability curve: how often predictions are right, by how sure they are."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from brainseg_jax.metrics import calibration
from brainseg_jax.metrics.calibration import Reliability
from brainseg_jax.reports.parts import class_figures, figures

STYLES = tuple(zip(class_figures.COLOURS, itertools.cycle(("-", "--")), strict=False))


def reliability_curves(
    curves: Mapping[str, Reliability],
    path: str | Path,
    *,
    title: str,
    note: str,
    probability: str = "Probability of what is predicted",
    right: str = "Share that is right",
    counted: str = "Slices",
) -> Path:
    """A curve for each name, the diagonal of what is well calibrated, and how many.

    Others than slices are many, and most are sure: how many on a scale of powers of ten.
    """
    with figures.page(path, title, note, body=3.7) as figure:
        curve, counts = figure.subplots(1, 2, width_ratios=(1, 1.2))
        curve.plot([0, 1], [0, 1], c=figures.QUIET, ls=":", lw=1.2, label="calibrated")
        for (name, found), (colour, dashes) in zip(
            curves.items(), STYLES, strict=False
        ):
            known = found.examples > 0
            error = calibration.expected_error(found)
            curve.plot(
                found.confidence[known],
                found.accuracy[known],
                dashes,
                c=colour,
                marker="o",
                label=f"{name}: ECE {error:.3f}",
            )
            _draw_counts(counts, found, colour, dashes)
        curve.set(
            xlim=(0, 1),
            ylim=(0, 1.02),
            aspect="equal",
            xlabel=probability,
            ylabel=right,
        )
        counts.set(xlim=(0, 1), xlabel=probability, ylabel=counted)
        if counted != "Slices":
            counts.set_yscale("log")
            counts.yaxis.set_major_formatter("{x:,.0f}")
            counts.yaxis.set_minor_formatter(NullFormatter())
        figure.legend(
            handles=curve.get_lines(), loc="outside lower center", ncols=1 + len(curves)
        )
    return Path(path)


def _draw_counts(axes: Axes, found: Reliability, colour: str, dashes: str) -> None:
    edges = np.linspace(0, 1, len(found.examples) + 1)
    axes.stairs(found.examples, edges, color=colour, ls=dashes, lw=1.6)
