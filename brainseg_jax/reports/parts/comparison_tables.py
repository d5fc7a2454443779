"""Tables of several runs side by side: every score, every patient, every pair."""

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from brainseg_jax.reports.parts import patient_scores
from brainseg_jax.reports.parts.patient_scores import Scores

Row = dict[str, Any]
# Of summary.json, what is a number and no score.
SETTINGS = ("patients", "slices", "dimensions", "checkpoint_step", "threshold")
CORRECTED = (
    "The p values are of each pair alone, not corrected for how many pairs there are."
)
KEY = (
    "run minus against, over the patients that both have a score of; + / − / =: how many "
    "have a better, worse, equal score, of distances a lower, higher, equal one; "
    f"p: Wilcoxon's signed ranks. {CORRECTED}"
)


def scores_of_runs(summaries: Mapping[str, Row]) -> list[Row]:
    """A row per run and score of its summary.json, with the interval where it has one."""
    return [
        {"run": run, "score": name, "value": value, "low": low, "high": high}
        for run, summary in summaries.items()
        for name, (value, low, high) in _with_ends(summary).items()
    ]


def patients_of_runs(scores: Mapping[str, Scores]) -> list[Row]:
    """A row per score and patient, a column per run; `scores` by run."""
    first = next(iter(scores.values()))
    return [
        {
            "score": score,
            "patient": patient,
            **{run: own[score][patient] for run, own in scores.items()},
        }
        for score in shared(scores)
        for patient in first[score]
    ]


def by_score(scores: Mapping[str, Scores]) -> dict[str, dict[str, list[float]]]:
    """Score -> run -> values, those of all runs in the same order of patients."""
    first = next(iter(scores.values()))
    return {
        score: {
            run: [own[score][patient] for patient in first[score]]
            for run, own in scores.items()
        }
        for score in shared(scores)
    }


def shared(scores: Mapping[str, Scores]) -> list[str]:
    """The scores that every run has of any patient."""
    first, *others = (patient_scores.defined(own) for own in scores.values())
    return [name for name in first if all(name in other for other in others)]


def headline_table(headlines: Mapping[str, Mapping[str, str]], title: str) -> Table:
    """A row per score that a reader asks for first, a column per run."""
    table = Table(title=title)
    table.add_column("score")
    for run in headlines:
        table.add_column(run, justify="right")
    for name in dict.fromkeys(name for own in headlines.values() for name in own):
        cells = (own.get(name, "not defined") for own in headlines.values())
        table.add_row(name, *cells)
    return table


def pairs_table(rows: list[Row]) -> Table:
    table = Table(title="Paired over the same patients", caption=KEY)
    table.add_column("score", overflow="fold", min_width=8)
    for column in ("run", "against"):
        table.add_column(column, overflow="fold")
    for column in ("difference", "95 % interval", "+ / − / =", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            *(row[name] for name in ("score", "run", "against")),
            *_in_words(row),
            " / ".join(str(row[name]) for name in ("better", "worse", "equal")),
            "" if math.isnan(row["wilcoxon_p"]) else f"{row['wilcoxon_p']:.2g}",
        )
    return table


def _in_words(row: Row) -> tuple[str, str]:
    """The difference and its interval."""
    if math.isnan(row["difference"]):
        return "not defined", ""
    # Adding 0 makes 0 of -0, as a rounded difference may be.
    mean, low, high = (round(row[end], 3) + 0 for end in ("difference", "low", "high"))
    return f"{mean:+.3f}", (
        "one patient" if math.isnan(low) else f"{low:+.3f} to {high:+.3f}"
    )


def _with_ends(summary: Row) -> dict[str, tuple[float, float, float]]:
    """Scores with their intervals, whose names end in _low and _high or have it within.

    A class comes last: the interval of patient_dice_ET is in patient_dice_low_ET.
    """
    numbers = {
        name: float(value)
        for name, value in summary.items()
        if isinstance(value, int | float) and name not in SETTINGS
    }
    found: dict[str, tuple[float, float, float]] = {}
    ends: set[str] = set()
    for name, value in numbers.items():
        head, _, last = name.partition("patient_dice_")
        within = [f"{head}patient_dice_{end}_{last}" for end in ("low", "high")]
        outside = [f"{name}_{end}" for end in ("low", "high")]
        own = outside if outside[0] in numbers else within
        low, high = (numbers.get(end, math.nan) for end in own)
        ends.update(one for one in own if one in numbers)
        found[name] = (value, low, high)
    return {name: own for name, own in found.items() if name not in ends}
