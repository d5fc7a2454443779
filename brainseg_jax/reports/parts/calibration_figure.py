"""The reliability curve: how often predictions are right, by how sure they are."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from brainseg_jax.metrics import calibration
from brainseg_jax.metrics.calibration import Reliability
from brainseg_jax.reports.parts import figures


def reliability_curves(
    curves: Mapping[str, Reliability],
    path: str | Path,
    *,
    title: str,
    note: str,
) -> Path:
    """A curve for each name, the diagonal of what is well calibrated, and how many."""
    styles = ((figures.BLUE, "-"), (figures.ORANGE, "--"))
    with figures.page(path, title, note, body=3.7) as figure:
        curve, counts = figure.subplots(1, 2, width_ratios=(1, 1.2))
        curve.plot([0, 1], [0, 1], c=figures.QUIET, ls=":", lw=1.2, label="calibrated")
        for (name, found), (colour, dashes) in zip(
            curves.items(), styles, strict=False
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
            xlabel="Probability of what is predicted",
            ylabel="Share that is right",
        )
        counts.set(
            xlim=(0, 1), xlabel="Probability of what is predicted", ylabel="Slices"
        )
        figure.legend(
            handles=curve.get_lines(), loc="outside lower center", ncols=1 + len(curves)
        )
    return Path(path)


def _draw_counts(axes: Axes, found: Reliability, colour: str, dashes: str) -> None:
    edges = np.linspace(0, 1, len(found.examples) + 1)
    axes.stairs(found.examples, edges, color=colour, ls=dashes, lw=1.6)
