"""Every picture: training curves, masks over MRI, scores per patient. Each is one PNG.

Figures are drawn on a canvas of their own, never through pyplot: there is no current
figure to disturb and nothing to close. A note, such as PHANTOM, is in every title.
"""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from brainseg_jax import files
from brainseg_jax.data import image_files
from brainseg_jax.metrics.segmentation import bootstrap_interval

TRUTH = (255, 0, 0)
PREDICTION = (0, 255, 0)
HEADINGS = (
    "MRI",
    "Original mask",
    "Predicted mask",
    "MRI with\noriginal mask",
    "MRI with\npredicted mask",
)

# Of Okabe and Ito's palette: colour-blind readers and grey prints tell them apart.
_BLUE, _ORANGE, _SKY = "#0072B2", "#D55E00", "#56B4E9"
_INK, _QUIET = "#222222", "#777777"
WIDTH = 9.0  # inches; a README shows 900 pixels of it, so 9 points are 12 pixels
_MARGIN, _GAP = 0.08, 0.06  # inches, around and between panels
_THEME: dict[Any, Any] = {
    "font.size": 9,
    "text.color": _INK,
    "text.parse_math": False,  # names of files may hold dollar signs
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "legend.edgecolor": "none",
    "legend.fancybox": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "savefig.dpi": 200,
}


class Slice(NamedTuple):
    """A row of `five_panels`: an image, its two masks, and what to say about them."""

    label: str  # such as "best · TCGA_CS_4941 slice 12 · Dice 0.91"
    image: UInt8[np.ndarray, "h w c"]
    truth: Bool[np.ndarray, "h w"]
    prediction: Bool[np.ndarray, "h w"]


def training_curves(
    history: Sequence[Mapping[str, float]],
    path: str | Path,
    *,
    scores: Mapping[str, str],
    best_epoch: int | None = None,
    title: str = "Training",
    note: str = "",
) -> Path:
    """Losses, validation scores and learning rate by epoch, the best epoch marked.

    Args:
        history: a row per epoch: epoch, train_loss, learning_rate and, where the epoch
            was evaluated, validation_loss and what `scores` names.
        scores: columns of the history and how to call them, two at the most.
        best_epoch: the epoch whose weights were kept; None: that of the highest score.

    Raises:
        ValueError: if the history is empty, or a row lacks a column.
    """
    if not history:
        raise ValueError(f"{path}: no epoch has been trained yet, nothing to draw.")
    needed = {"epoch", "train_loss", "learning_rate"}
    for row in history:
        if missing := needed - row.keys():
            raise ValueError(
                f"{path}: a row of the history lacks {', '.join(sorted(missing))};"
                f" it has {', '.join(row)}."
            )
    if best_epoch is None:
        best_epoch = _best_epoch(history, next(iter(scores)))
    with page(path, title, note, body=2.75) as figure:
        losses, curves, rates = figure.subplots(1, 3)
        _draw_curve(losses, history, "train_loss", "training", _BLUE, "-")
        _draw_curve(losses, history, "validation_loss", "validation", _ORANGE, "--")
        styles = ((_BLUE, "-"), (_ORANGE, "--"))
        for (column, label), style in zip(scores.items(), styles, strict=False):
            _draw_curve(curves, history, column, label, *style)
        _draw_curve(rates, history, "learning_rate", "rate", _BLUE, "-")
        losses.set_title("Loss")
        _from_zero(losses)
        curves.set(title="Validation score", ylim=(0, 1))
        rates.set(title="Learning rate")
        _log_axis(rates)
        for axes in (losses, curves, rates):
            _epoch_axis(axes, [row["epoch"] for row in history], best_epoch)
            if axes is not rates and axes.get_lines():
                axes.legend(loc="best")
    return Path(path)


def five_panels(
    rows: Sequence[Slice],
    path: str | Path,
    *,
    title: str = "Predictions",
    note: str = "",
) -> Path:
    """MRI, both masks, and each mask over the MRI: truth red, prediction green.

    Raises:
        ValueError: if there is no slice.
    """
    if not rows:
        raise ValueError(f"{path}: there is no slice to draw.")
    side = (WIDTH - 2 * _MARGIN - 4 * _GAP) / 5
    labels = [textwrap.fill(row.label, 100) for row in rows]
    label_heights = [0.12 + 0.16 * (1 + label.count("\n")) for label in labels]
    body = 0.36 + sum(label_heights) + side * len(rows) + _MARGIN
    with page(path, title, note, body) as figure:
        # Placed by hand: an automatic layout spreads images of a fixed shape unevenly.
        figure.set_layout_engine("none")
        height = figure.get_figheight()
        y = body - 0.36
        for number, heading in enumerate(HEADINGS):
            centre = (_MARGIN + side / 2 + number * (side + _GAP)) / WIDTH
            figure.text(centre, y / height, heading, ha="center", va="bottom")
        for row, label, label_height in zip(rows, labels, label_heights, strict=True):
            y -= label_height
            figure.text(
                _MARGIN / WIDTH, (y + 0.05) / height, label, va="bottom", weight="bold"
            )
            y -= side
            for number, picture in enumerate(_five_pictures(row)):
                x = _MARGIN + number * (side + _GAP)
                box = (x / WIDTH, y / height, side / WIDTH, side / height)
                axes = figure.add_axes(box, facecolor="black", xticks=[], yticks=[])
                axes.imshow(picture, interpolation="nearest")
                axes.spines[:].set_visible(False)
    return Path(path)


def patient_bars(
    patients: Sequence[str],
    dice: Sequence[float] | Float[np.ndarray, " n"],
    path: str | Path,
    *,
    interval: tuple[float, float] | None = None,
    score: str = "Dice",
    title: str = "Dice per patient",
    note: str = "",
) -> Path:
    """A bar per patient, best first, with the mean, its 95 % interval and the median.

    Args:
        dice: or another score, called `score`; NaN where a patient has none: listed last,
            and left out of the mean.
        interval: of the mean; None: the bootstrap over patients (10,000 draws).

    Raises:
        ValueError: if patients and scores are not as many, or no patient has a score.
    """
    scores = np.asarray(dice, float)
    if len(patients) != len(scores) or not np.isfinite(scores).any():
        raise ValueError(
            f"{path}: {len(patients)} patients and {np.isfinite(scores).sum()} scores of"
            f" {len(scores)} that are numbers; give each patient one, and at least one."
        )
    order = np.argsort(-scores, kind="stable")  # NaN comes last
    known = scores[np.isfinite(scores)]
    if interval is None and len(known) > 1:
        interval = bootstrap_interval(known)
    blocks = np.array_split(order, -(-len(order) // 40))
    rows = max(3, *map(len, blocks))  # room for the names of the axes
    body = 0.85 + max(0.165 * rows, 0.24 * min(rows, 12))
    with page(path, title, note, body) as figure:
        grid = figure.subplots(1, len(blocks), squeeze=False, sharex=True)[0]
        for axes, block in zip(grid, blocks, strict=True):
            _draw_bars(axes, [patients[i] for i in block], scores[block], rows)
            axes.set_xlabel(score)
            lines = _draw_statistics(axes, scores, interval)
        figure.legend(handles=lines, loc="outside lower center", ncols=3)
    return Path(path)


def brightened(image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    """An image to show; a faint scan made brighter."""
    mri = image_files.display(image)
    gain = 255 / max(np.percentile(mri, 99.8), 64)
    return np.minimum(mri * max(gain, 1), 255).astype(np.uint8)


@contextmanager
def page(path: str | Path, title: str, note: str, body: float) -> Iterator[Figure]:
    """A figure with `body` inches below its title, written unless the block fails."""
    heading = "\n".join(textwrap.fill(line, 80) for line in (title, note) if line)
    height = body + 0.16 + 0.19 * (1 + heading.count("\n"))
    with matplotlib.rc_context(_THEME):
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(figure)
        figure.set_layout_engine(
            "constrained", rect=(0, 0, 1, body / height), w_pad=0.08, h_pad=0.05
        )
        figure.suptitle(heading, y=1 - 0.08 / height, va="top")
        yield figure
        content = io.BytesIO()
        # The title goes into the file too, where cropping the picture leaves it.
        metadata = {"Title": heading, "Software": None}
        figure.savefig(content, format="png", metadata=metadata)
    files.write_atomically(path, content.getvalue())


def _draw_curve(
    axes: Axes,
    history: Sequence[Mapping[str, float]],
    key: str,
    label: str,
    colour: str,
    dashes: str,
) -> None:
    """One column of the history, over the epochs that have it."""
    points = [(row["epoch"], row[key]) for row in history if key in row]
    if not points:
        return
    marker = "o" if len(points) <= 30 else ""
    axes.plot(*zip(*points, strict=True), dashes, marker=marker, c=colour, label=label)


def _best_epoch(history: Sequence[Mapping[str, float]], column: str) -> int | None:
    scored = [row for row in history if np.isfinite(row.get(column, np.nan))]
    if not scored:
        return None
    return int(max(scored, key=lambda row: row[column])["epoch"])


def _epoch_axis(axes: Axes, epochs: Sequence[float], best: int | None) -> None:
    room = max(0.5, 0.02 * (max(epochs) - min(epochs)))
    axes.set_xlim(min(epochs) - room, max(epochs) + room)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axes.set_xlabel("Epoch")
    axes.grid(True)
    if best is not None:
        axes.axvline(
            best, c=_QUIET, ls=":", lw=1.2, zorder=1, label=f"best: epoch {best}"
        )


def _from_zero(axes: Axes) -> None:
    values = np.concatenate([np.asarray(line.get_ydata()) for line in axes.get_lines()])
    highest = values[np.isfinite(values)].max(initial=0)
    axes.set_ylim(0, 1.08 * highest or 1)


def _log_axis(axes: Axes) -> None:
    """A log axis over the rates above zero; a schedule may begin or end at zero."""
    (line,) = axes.get_lines()
    rates = np.asarray(line.get_ydata(), float)
    positive = rates[np.isfinite(rates) & (rates > 0)]
    if not positive.size:
        return
    line.set_ydata(np.where(rates > 0, rates, np.nan))
    # A cosine ends a billion times lower than it began; four decades show its shape.
    low, high = max(positive.min(), positive.max() / 1e4) / 1.5, positive.max() * 1.5
    axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(low, high)
    # Within one decade the powers of ten alone would leave the axis without a number.
    digits = (1.0,) if high / low > 30 else (1.0, 2.0, 5.0)
    # Fewer than two of these would lie on a shorter axis.
    short = high / low < 5
    axes.yaxis.set_major_locator(
        MaxNLocator(4) if short else LogLocator(subs=digits, numticks=8)
    )
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _power(value: float, _: int) -> str:
    """5e-4, not 5e-04, with at most three digits."""
    digits, exponent = f"{value:.2e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def _five_pictures(row: Slice) -> list[UInt8[np.ndarray, "h w 3"]]:
    """The scan is grey under a mask, so that colour means mask."""
    mri = brightened(row.image)
    grey = cv2.cvtColor(cv2.cvtColor(mri, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return [
        mri,
        *(np.uint8(255) * mask[..., None].repeat(3, -1) for mask in row[2:]),
        _tint(grey, row.truth, TRUTH),
        _tint(grey, row.prediction, PREDICTION),
    ]


def _tint(
    mri: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    colour: tuple[int, int, int],
) -> UInt8[np.ndarray, "h w 3"]:
    """A full outline says exactly where; the faint filling leaves the anatomy visible."""
    filled = image_files.overlay(mri, mask, colour, opacity=0.3)
    return image_files.overlay(filled, mask, colour, outline=True)


def _draw_bars(
    axes: Axes, patients: Sequence[str], scores: Float[np.ndarray, " n"], rows: int
) -> None:
    places = np.arange(len(scores))
    axes.barh(places, np.nan_to_num(scores), height=0.72, color=_SKY)
    for place, score in enumerate(scores):
        # At the foot of the bar, away from the lines of the mean and the median.
        known = f"{score:.2f}" if np.isfinite(score) else "no score"
        axes.text(0.015, place, known, va="center_baseline", fontsize=7)
    axes.set_yticks(places, [_shortened(name) for name in patients])
    axes.tick_params(axis="y", length=0, labelsize=7.5)
    axes.set(xlim=(0, 1), xticks=(0, 0.25, 0.5, 0.75, 1), ylim=(rows - 0.4, -0.6))
    axes.xaxis.set_major_formatter("{x:g}")


def _shortened(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:13]}…{name[-14:]}"


def _draw_statistics(
    axes: Axes, scores: Float[np.ndarray, " n"], interval: tuple[float, float] | None
) -> list[Artist]:
    """Lines down the bars; each says its value in the legend."""
    mean, median = np.nanmean(scores), np.nanmedian(scores)
    lines: list[Artist] = [axes.axvline(mean, c=_BLUE, label=f"mean {mean:.3f}")]
    if interval:
        low, high = interval
        label = f"95 % interval of the mean {low:.3f}–{high:.3f}"
        lines.append(axes.axvspan(low, high, fc=_BLUE, alpha=0.25, lw=0, label=label))
    label = f"median {median:.3f}"
    return [*lines, axes.axvline(median, c=_ORANGE, ls="--", label=label)]
