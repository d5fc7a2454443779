"""Scores of predictions as a card mends them, beside those without."""

import math
import pathlib
from collections.abc import Iterator
from typing import Any

from rich.progress import track

from brainseg_jax import files, registry, reports
from brainseg_jax.data import sources
from brainseg_jax.inference import blending, scoring
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.reports.parts import patient_spread
from brainseg_jax.runs import mending, split_masks, split_scores, temperatures
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.restore import Restored

Row = dict[str, Any]
TABLES = {
    "patients": "patients_post_processed.csv",
    "scores": "scores_post_processed.csv",
}


def by_card(
    restored: Restored,
    source: sources.Source,
    scored: scoring.Scored,
    card: Card,
    folder: pathlib.Path,
    note: str,
) -> tuple[Row, dict[str, str]]:
    """What the summary and the printed table have besides, of predictions as mended."""
    calm, rows = temperatures.scores_at(card.temperature, scored, restored.parts.task)
    usual = restored.record.about.config["evaluation"]["threshold"]
    threshold = usual if card.threshold is None else card.threshold
    if card.rules == Rules() and threshold == usual:
        return calm, rows
    at = mending.at_threshold(restored, threshold) if threshold != usual else restored
    after, over = _score_mended(at, source, card.rules, folder, note)
    found = {
        **card.rules._asdict(),
        "threshold": threshold,
        "scores": after,
        "over_patients": over,
    }
    return calm | {"post_processing": found}, {
        **rows,
        "mean Dice over patients after post-processing": f"{after['patient_dice']:.3f}",
        **patient_spread.of_shapes(over, "after post-processing"),
    }


def _score_mended(
    restored: Restored,
    source: sources.Source,
    rules: Rules,
    folder: pathlib.Path,
    note: str,
) -> tuple[dict[str, float], list[Row]]:
    """Scores of the labels after post-processing, and how those of patients spread.

    Writes patients_post_processed.csv and scores_post_processed.csv.
    """
    task = restored.parts.task
    empty = restored.record.about.settings.evaluation.empty

    def examples() -> Iterator[dict[str, Any]]:
        for predicted, true in split_masks.by_patient(restored, source):
            changed = mending.mend(predicted, rules)
            for labels, mask in zip(changed, true, strict=True):
                yield {"labels": labels, "mask": mask}

    scored = scoring.score_labels(
        lambda example: blending.Labelled(example["labels"], math.nan),
        iter(track(examples(), "mending", total=len(source), transient=True)),
        source.info.members,
        look=split_scores.look_of(restored, source),
    )
    assert scored is not None
    own = registry.find(reports, task.name)
    rows = own.tables(scored, source, task, empty)["patients.csv"]
    over = patient_spread.rows_of(rows, {})
    for name, table in (("patients", rows), ("scores", over)):
        told = [{**row, "note": note} for row in table]
        files.write_csv(folder / TABLES[name], told)
    summary = own.summarise(scored, source, task, empty)
    return {name: value for name, value in summary.items() if name != "loss"}, over
