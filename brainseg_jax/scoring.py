"""Counts of every slice of a split, and the tables made of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from brainseg_jax import data, experiment, metrics, parallel, scores, steps
from brainseg_jax.metrics import Counts

Row = dict[str, Any]
TVERSKY = {"alpha": 0.3, "beta": 0.7}  # false positives and misses, as in the loss


class Scored(NamedTuple):
    """Loss and counts of every slice of a split, in the split's order."""

    loss: np.ndarray  # [n]
    counts: Counts  # each [n, c]


def make_eval_step(model, task, losses: dict, mirror: Sequence[str]) -> Callable:
    """eval_step with everything but (variables, resident, batch) bound."""
    loss = experiment.make_loss(losses, task)

    def step(variables, resident, batch):
        return steps.eval_step(
            variables, resident, batch, model=model, task=task, loss=loss, mirror=mirror
        )

    return step


def fitting(batch_size: int, devices: parallel.Devices) -> int:
    """The batch size, rounded up to a multiple of the devices."""
    count = len(devices.devices)
    return -(-batch_size // count) * count


def score(
    step: Callable,
    variables: Any,
    resident: Any,
    batches: Any,
    devices: parallel.Devices,
    stop: Callable[[], bool] = lambda: False,
) -> Scored | None:
    """Runs over all batches, one fetch behind; None if `stop` asked to."""
    fetched, valid, waiting = [], [], None
    for batch in batches:
        if stop():
            return None
        valid.append(batch.pop("valid"))
        result = step(variables, resident, devices.shard(batch))
        if waiting is not None:
            fetched.append(devices.gather(waiting))
        waiting = result
    fetched.append(devices.gather(waiting))
    keep = np.concatenate(valid)
    joined = jax.tree.map(lambda *parts: np.concatenate(parts)[keep], *fetched)
    return Scored(joined["loss"], joined["counts"])


def summarise(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> dict[str, float]:
    summary = scores.summarise(
        scored.counts, source.patients, classes=classes, empty=empty
    )
    return {"loss": float(scored.loss.mean(dtype=float)), **summary}


def slice_table(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per slice and class: where it comes from, counts and ratios."""
    loss = [{"loss": float(value)} for value in scored.loss]
    rows = [
        {"key": key, "patient": patient, "slice": number}
        for key, patient, number in zip(
            source.keys, source.patients, source.slices, strict=True
        )
    ]
    rows = [{**row, **value} for row, value in zip(rows, loss, strict=True)]
    return _with_counts(rows, scored.counts, classes, empty)


def patient_table(
    scored: Scored, source: data.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per patient and class, over the whole volume."""
    names, volumes = scores.by_group(scored.counts, source.patients)
    rows = [
        {"patient": name, "slices": source.patients.count(str(name))} for name in names
    ]
    return _with_counts(rows, volumes, classes, empty)


def _with_counts(
    rows: list[Row], counts: Counts, classes: Sequence[str], empty: str
) -> list[Row]:
    ratios = {
        "dice": metrics.dice(counts, empty=empty),
        "iou": metrics.iou(counts, empty=empty),
        "tversky": metrics.tversky(counts, **TVERSKY, empty=empty),
        "precision": metrics.precision(counts, empty=empty),
        "recall": metrics.recall(counts, empty=empty),
        "specificity": metrics.specificity(counts, empty=empty),
    }
    return [
        {
            **row,
            "class": name,
            **{key: int(part[i, c]) for key, part in counts._asdict().items()},
            **{key: round(float(part[i, c]), 6) for key, part in ratios.items()},
        }
        for i, row in enumerate(rows)
        for c, name in enumerate(classes)
    ]
