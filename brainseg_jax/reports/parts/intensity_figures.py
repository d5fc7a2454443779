"""How often each intensity occurs: a chart per channel, a line per group of volumes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from brainseg_jax.data import tallies
from brainseg_jax.data.tallies import Tally
from brainseg_jax.reports.parts import class_figures, figures

BINS = 64
HIGHEST = 99.95  # percentile at which an axis ends


def intensity_histograms(
    groups: Mapping[str, Sequence[Tally]],
    channels: Sequence[str],
    path: str | Path,
    *,
    title: str = "Intensities as stored",
    note: str = "",
) -> Path:
    """`groups`: of each its tallies, one per channel. The share of pixels in each bin.

    Raises:
        ValueError: if there is no group, or one has not a tally for each channel.
    """
    if not groups or any(len(of) != len(channels) for of in groups.values()):
        raise ValueError(f"{path}: each group needs a tally of {', '.join(channels)}.")
    columns = min(len(channels), 4)
    rows = -(-len(channels) // columns)
    with figures.page(path, title, note, body=2.6 * rows + 0.4) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True).reshape(-1)
        for place, axes in enumerate(grid):
            if place >= len(channels):
                axes.set_axis_off()
                continue
            _draw_channel(axes, {name: of[place] for name, of in groups.items()})
            axes.set(title=channels[place], xlabel="Intensity")
        for axes in grid[::columns]:
            axes.set_ylabel("Share of pixels (log scale)")
        if len(groups) > 1:
            lines, names = grid[0].get_legend_handles_labels()
            figure.legend(lines, names, loc="outside lower center", ncols=6)
    return Path(path)


def histogram(one: Tally, edges: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b-1"]:
    """Shares of all pixels that lie between neighbouring edges."""
    counts, _ = np.histogram(one.values, edges, weights=one.counts)
    return counts / one.counts.sum()


def _draw_channel(axes: Axes, groups: Mapping[str, Tally]) -> None:
    whole = tallies.merge(groups.values())
    edges = bin_edges(whole)
    for number, (name, one) in enumerate(groups.items()):
        colour = class_figures.COLOURS[number % len(class_figures.COLOURS)]
        shares = histogram(one, edges)
        axes.stairs(shares, edges, color=colour, label=name, lw=1.2)
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes.set_xlim(edges[0], edges[-1])
    axes.grid(True)


def bin_edges(whole: Tally) -> Float[np.ndarray, " b"]:
    """Whole numbers apart where few are told apart, so that no bin holds more of them."""
    low, high = whole.values[0], tallies.percentile(whole, HIGHEST)
    integers = bool((whole.values == np.round(whole.values)).all())
    width = max((high - low) / BINS, 1e-12)
    if integers:
        width = np.ceil(max(width, 1.0))
    count = max(int(np.ceil((high - low) / width)), 1)
    return low + width * np.arange(count + 1)
