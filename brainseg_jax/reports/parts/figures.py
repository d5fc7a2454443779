"""A page, as every picture is one, and the curves of training. Each is one PNG.

Figures are drawn on a canvas of their own, never through pyplot: there is no current
figure to disturb and nothing to close. A note, such as PHANTOM, is in every title.
"""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from brainseg_jax import files
from brainseg_jax.data import image_files

# Of Okabe and Ito's palette: colour-blind readers and grey prints tell them apart.
BLUE, ORANGE, SKY = "#0072B2", "#D55E00", "#56B4E9"
INK, QUIET = "#222222", "#777777"
WIDTH = 9.0  # inches; a README shows 900 pixels of it, so 9 points are 12 pixels
_THEME: dict[Any, Any] = {
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names of files may hold dollar signs
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
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


def training_curves(
    history: Sequence[Mapping[str, float]],
    path: str | Path,
    *,
    scores: Mapping[str, str],
    kept_epoch: int | None = None,
    title: str = "Training",
    note: str = "",
) -> Path:
    """Losses, validation scores if any, and learning rate by epoch; the kept one marked.

    Args:
        history: a row per epoch: epoch, train_loss, learning_rate and, where the epoch
            was evaluated, validation_loss and what `scores` names.
        scores: columns of the history and how to call them; the first two are drawn that
            were defined after any epoch.
        kept_epoch: the epoch whose weights were kept; None: that of the highest score.

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
    drawn = [name for name in scores if _is_defined(history, name)][:2]
    if kept_epoch is None and drawn:
        kept_epoch = _best_epoch(history, drawn[0])
    with page(path, title, note, body=2.75) as figure:
        losses, *scored, rates = figure.subplots(1, 3 if drawn else 2)
        _draw_curve(losses, history, "train_loss", "training", BLUE, "-")
        _draw_curve(losses, history, "validation_loss", "validation", ORANGE, "--")
        styles = ((BLUE, "-"), (ORANGE, "--"))
        for axes in scored:
            for column, style in zip(drawn, styles, strict=False):
                _draw_curve(axes, history, column, scores[column], *style)
            axes.set(title="Validation score", ylim=(0, 1))
        _draw_curve(rates, history, "learning_rate", "rate", BLUE, "-")
        losses.set_title("Loss")
        _from_zero(losses)
        rates.set(title="Learning rate")
        _log_axis(rates)
        for axes in (losses, *scored, rates):
            epoch_axis(axes, [row["epoch"] for row in history], kept_epoch)
            if axes is not rates and axes.get_lines():
                axes.legend(loc="best")
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


def epoch_axis(axes: Axes, epochs: Sequence[float], kept: int | None = None) -> None:
    """From the first epoch to the last, also where a curve has fewer; `kept` is marked."""
    room = max(0.5, 0.02 * (max(epochs) - min(epochs)))
    axes.set_xlim(min(epochs) - room, max(epochs) + room)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axes.set_xlabel("Epoch")
    axes.grid(True)
    if kept is not None:
        axes.axvline(
            kept, c=QUIET, ls=":", lw=1.2, zorder=1, label=f"kept: epoch {kept}"
        )


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


def _is_defined(history: Sequence[Mapping[str, float]], column: str) -> bool:
    return any(np.isfinite(row.get(column, np.nan)) for row in history)


def _best_epoch(history: Sequence[Mapping[str, float]], column: str) -> int:
    scored = [row for row in history if np.isfinite(row.get(column, np.nan))]
    return int(max(scored, key=lambda row: row[column])["epoch"])


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
