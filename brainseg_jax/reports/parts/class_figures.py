"""Pictures of classified slices: confusion matrices, ROC curves, the slices themselves."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from brainseg_jax.metrics import confusions, ranking
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports.parts import figures

# Of Okabe and Ito's palette, told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
COLUMNS = 5  # of slice_panels


class Judged(NamedTuple):
    """A slice, its label and a model's prediction."""

    image: UInt8[np.ndarray, "h w c"]
    patient: str
    slice: int
    label: str
    predicted: str
    probability: float  # of the predicted class


def confusion_matrices(
    matrices: Mapping[str, Float[np.ndarray, "c c"]],
    classes: Sequence[str],
    path: str | Path,
    *,
    title: str = "Confusion",
    note: str = "",
) -> Path:
    """A matrix per heading: shares of each row, and below them the counts.

    Raises:
        ValueError: if a matrix holds nothing, or is not of these classes.
    """
    for heading, matrix in matrices.items():
        if matrix.shape != (len(classes),) * 2 or not matrix.sum():
            raise ValueError(
                f"{path}: {heading!r} has {matrix.sum():g} examples in a matrix of "
                f"shape {matrix.shape}; {len(classes)} classes need at least one."
            )
    with figures.page(path, title, note, body=9.6 / max(len(matrices), 3)) as figure:
        grid = figure.subplots(1, len(matrices), squeeze=False)[0]
        for axes, (heading, matrix) in zip(grid, matrices.items(), strict=True):
            axes.set_title(heading)
            _draw_matrix(axes, matrix, classes)
    return Path(path)


def roc_curves(
    decided: Decided,
    classes: Sequence[str],
    path: str | Path,
    *,
    title: str = "ROC curves",
    note: str = "",
) -> Path:
    """ROC of the second of two classes; of more, each class against all others.

    Beside it a histogram of the probability given to the true class.

    Raises:
        ValueError: if there is no slice.
    """
    label = np.asarray(decided.label)
    if not len(label):
        raise ValueError(f"{path}: there is no slice to draw.")
    with figures.page(path, title, note, body=4.2) as figure:
        curves, given = figure.subplots(1, 2)
        curves.plot((0, 1), (0, 1), ":", c="#777777", lw=1.2, label="chance")
        for place in range(1 if len(classes) == 2 else 0, len(classes)):
            score, positive = np.asarray(decided.probability)[:, place], label == place
            if positive.all() or not positive.any():
                continue
            area = ranking.auc(score, positive)
            false, true = ranking.roc(score, positive)
            curves.plot(
                false,
                true,
                c=_colour(place),
                label=f"{classes[place]}: area {area:.3f}",
            )
        if len(classes) == 2:
            matrix = confusions.confusion(decided)
            specificity, sensitivity = confusions.recall(matrix)
            curves.plot(
                1 - specificity, sensitivity, "o", c="#222222", label="at the threshold"
            )
        curves.set(
            title="ROC by slice",
            xlabel="False positive rate",
            ylabel="True positive rate",
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
        )
        curves.grid(True)
        curves.legend(loc="lower right")
        _draw_given(given, decided, classes)
    return Path(path)


def slice_panels(
    rows: Mapping[str, Sequence[Judged]],
    path: str | Path,
    *,
    title: str = "Classified slices",
    note: str = "",
) -> Path:
    """A row of slices per heading, at most five, with label and prediction below each.

    Raises:
        ValueError: if there is no slice.
    """
    rows = {heading: slices[:COLUMNS] for heading, slices in rows.items()}
    if not any(rows.values()):
        raise ValueError(f"{path}: there is no slice to draw.")
    margin, gap, above, below = 0.08, 0.06, 0.3, 0.62
    side = (figures.WIDTH - 2 * margin - (COLUMNS - 1) * gap) / COLUMNS
    heights = [above + (side + below if row else 0.2) for row in rows.values()]
    body = sum(heights) + margin
    with figures.page(path, title, note, body) as figure:
        # Placed by hand, as in mask_panels.five_panels.
        figure.set_layout_engine("none")
        height, y = figure.get_figheight(), body
        for (heading, row), row_height in zip(rows.items(), heights, strict=True):
            top, left = (y - 0.22) / height, margin / figures.WIDTH
            figure.text(left, top, heading, va="bottom", weight="bold")
            if not row:
                figure.text(left, (y - 0.42) / height, "none", va="bottom")
            for number, one in enumerate(row):
                x = (margin + number * (side + gap)) / figures.WIDTH
                floor = y - above - side
                box = (x, floor / height, side / figures.WIDTH, side / height)
                axes = figure.add_axes(box, facecolor="black", xticks=[], yticks=[])
                axes.imshow(figures.brightened(one.image), interpolation="nearest")
                axes.spines[:].set_visible(False)
                caption = _caption(one)
                figure.text(x, (floor - 0.04) / height, caption, va="top", fontsize=7.5)
            y -= row_height
    return Path(path)


def _caption(one: Judged) -> str:
    patient = one.patient if len(one.patient) <= 24 else f"…{one.patient[-23:]}"
    lines = (
        f"slice {one.slice}: {one.label}",
        f"model: {one.probability:.3f} {one.predicted}",
    )
    return "\n".join((patient, *(textwrap.shorten(line, 28) for line in lines)))


def _draw_matrix(
    axes: Axes, matrix: Float[np.ndarray, "c c"], classes: Sequence[str]
) -> None:
    """Darker cells hold a larger share of their row; a row without examples is empty."""
    total = matrix.sum(1, keepdims=True)
    shares = np.where(total > 0, matrix / np.where(total > 0, total, 1), np.nan)
    axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1.15)
    whole = np.allclose(matrix, matrix.round())
    size = 10 if len(classes) <= 3 else 8
    for i, j in np.ndindex(matrix.shape):
        count = f"{matrix[i, j]:.0f}" if whole else f"{matrix[i, j]:.2f}"
        share = "none" if np.isnan(shares[i, j]) else f"{100 * shares[i, j]:.1f} %"
        colour = "white" if shares[i, j] > 0.6 else "#222222"
        axes.text(
            j, i, f"{share}\n{count}", ha="center", va="center", c=colour, fontsize=size
        )
    names = [textwrap.fill(textwrap.shorten(name, 24), 12) for name in classes]
    places = range(len(classes))
    axes.set_xticks(places, names)
    axes.set_yticks(places, names, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="Predicted", ylabel="Label")


def _draw_given(axes: Axes, decided: Decided, classes: Sequence[str]) -> None:
    label, bins = np.asarray(decided.label), np.linspace(0, 1, 11)
    own = np.asarray(decided.probability)[np.arange(len(label)), label]
    parts = [own[label == place] for place in range(len(classes))]
    axes.hist(
        [np.clip(part, 0, 1) for part in parts],
        bins.tolist(),
        color=[_colour(place) for place in range(len(classes))],
        label=[
            f"{name}: {len(part)} slices"
            for name, part in zip(classes, parts, strict=True)
        ],
    )
    axes.set(
        title="Probability given to the true class",
        xlabel="Probability",
        ylabel="Slices (log scale)",
        xlim=(0, 1),
        yscale="log",
        ylim=(0.7, None),
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    # Above the bars, wherever they are.
    axes.set_ylim(0.7, axes.get_ylim()[1] ** 1.35)
    axes.legend(loc="upper left", ncols=2 if len(classes) > 2 else 1)


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
