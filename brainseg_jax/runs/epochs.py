"""What happens at the end of an epoch, as pure functions of a run's progress."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from brainseg_jax.runs.records import Progress, Row
from brainseg_jax.training.optimisers import Plateau, update_plateau


def add_losses(progress: Progress, steps: Iterable[Mapping[str, float]]) -> Progress:
    """With the losses of some more steps in the sums of the epoch that is under way."""
    sums = dict(progress.sums)
    for losses in steps:
        sums["steps"] = sums.get("steps", 0) + 1
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value)
    return dataclasses.replace(progress, sums=sums)


def mean_losses(progress: Progress) -> dict[str, float]:
    """The means over the steps of the epoch that is under way."""
    steps = progress.sums["steps"]
    return {k: total / steps for k, total in progress.sums.items() if k != "steps"}


def close_epoch(
    progress: Progress,
    row: Row,
    *,
    metric: str,
    mode: str,
    plateau: Mapping[str, float] | None,
) -> Progress:
    """With the epoch of `row` counted: best score, patience, plateau and history.

    `metric` and `mode` (max or min) say what is watched, `plateau` how the rate falls by
    it: the options of `training.optimisers.update_plateau`, or None.
    """
    score = watched_score(row, metric, mode)
    closed = dataclasses.replace(
        progress, epoch=row["epoch"], sums={}, history=(*progress.history, row)
    )
    if score is None:
        return closed
    best = progress.best_score
    if best is None or score > best:
        closed = dataclasses.replace(
            closed, best_score=score, best_epoch=row["epoch"], waited=0
        )
    else:
        closed = dataclasses.replace(closed, waited=progress.waited + 1)
    if plateau is None:
        return closed
    lowered: Plateau = update_plateau(progress.plateau, score, **plateau)  # type: ignore
    return dataclasses.replace(closed, plateau=lowered)


def watched_score(row: Row, metric: str, mode: str) -> float | None:
    """The watched metric of an epoch, higher is better.

    None where the epoch was not evaluated, or the metric is not a number.
    """
    if "validation_loss" not in row:
        return None
    value = row[f"validation_{metric}"]
    value = value if mode == "max" else -value
    return value if math.isfinite(value) else None


def is_finished(progress: Progress, epochs: int, patience: int) -> bool:
    """All epochs done, or none better for as long as patience lasts (0: for ever)."""
    return progress.epoch >= epochs or 0 < patience <= progress.waited
