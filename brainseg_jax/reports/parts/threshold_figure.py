"""Dice and IoU against the threshold, with the best and the one used so far."""

from pathlib import Path

from brainseg_jax.metrics.threshold_sweep import Sweep
from brainseg_jax.reports.parts import figures


def threshold_curves(
    found: Sweep,
    path: str | Path,
    *,
    best: float,
    usual: float,
    title: str,
    note: str,
) -> Path:
    with figures.page(path, title, note, body=3.1) as figure:
        axes = figure.subplots()
        axes.plot(found.threshold, found.dice, c=figures.BLUE, label="Dice")
        axes.plot(found.threshold, found.iou, "--", c=figures.ORANGE, label="IoU")
        at = int(abs(found.threshold - best).argmin())
        axes.plot(
            best,
            found.dice[at],
            "o",
            c=figures.BLUE,
            label=f"best: Dice {found.dice[at]:.3f} at {best:.2f}",
        )
        axes.axvline(
            usual, c=figures.QUIET, ls=":", lw=1.2, label=f"config: {usual:.2f}"
        )
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1),
            xlabel="Threshold of the probability",
            ylabel="Mean over patients",
        )
        axes.grid(True)
        figure.legend(loc="outside lower center", ncols=4)
    return Path(path)
