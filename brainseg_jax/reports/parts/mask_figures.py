"""How large the masks of a data set are, and where in the picture they lie."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable

from brainseg_jax.reports.parts import class_figures, figures


def area_histograms(
    shares: Mapping[str, Float[np.ndarray, " n"]],
    path: str | Path,
    *,
    title: str = "Mask area",
    note: str = "",
) -> Path:
    """Shares of the picture, of each group those examples that have any; a chart each.

    Raises:
        ValueError: if no group has a mask.
    """
    shares = {name: share[share > 0] for name, share in shares.items()}
    if not any(map(len, shares.values())):
        raise ValueError(f"{path}: every mask is empty; there is no area to draw.")
    columns = min(len(shares), 4)
    rows = -(-len(shares) // columns)
    highest = 100 * max(share.max(initial=0) for share in shares.values())
    bins = np.linspace(0, highest, 31).tolist()
    with figures.page(path, title, note, body=2.3 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        for axes in grid[len(shares) :]:
            axes.set_axis_off()
        for number, (name, share) in enumerate(shares.items()):
            axes, colours = grid[number], class_figures.COLOURS
            axes.hist(100 * share, bins, color=colours[number % len(colours)])
            if len(share):
                median = float(np.median(100 * share))
                axes.axvline(
                    median, c="#222222", ls="--", label=f"median {median:.2g} %"
                )
                axes.legend(loc="upper right")
            axes.set_title(f"{name} ({len(share):,} examples)")
            axes.set(xlabel="Share of the picture (%)", ylabel="Examples")
            axes.set_xlim(0, highest)
            axes.yaxis.get_major_locator().set_params(integer=True)
    return Path(path)


def place_maps(
    maps: Mapping[str, Float[np.ndarray, "side side"]],
    head: Float[np.ndarray, "side side"],
    path: str | Path,
    *,
    title: str = "Where masks lie",
    note: str = "",
) -> Path:
    """The mean picture, and over it the share of examples masked at each place, for each.

    Raises:
        ValueError: if there is no map.
    """
    if not maps:
        raise ValueError(f"{path}: there is no map to draw.")
    columns = 4
    rows = -(-(len(maps) + 1) // columns)
    with figures.page(path, title, note, body=2.3 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
        for axes in grid:
            axes.set_axis_off()
        grid[0].imshow(head, cmap="gray")
        grid[0].set_title("Mean of some pictures")
        for axes, (name, share) in zip(grid[1:], maps.items(), strict=False):
            axes.imshow(head, cmap="gray")
            top = max(float(share.max()), 1e-9)
            # What is rare lets the head through.
            opacity = 0.85 * np.sqrt(share / top)
            shown = axes.imshow(100 * share, cmap="inferno", alpha=opacity, vmin=0)
            axes.set_title(name)
            # As high as the map, whatever the layout makes of its box.
            beside = axes.inset_axes((1.03, 0, 0.05, 1))
            scale = ScalarMappable(shown.norm, shown.cmap)
            bar = figure.colorbar(scale, cax=beside, format="{x:g} %")
            beside.tick_params(labelsize=7.5)
            bar.outline.set_visible(False)
    return Path(path)
