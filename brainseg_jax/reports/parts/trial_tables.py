"""The page of a search for a recipe: every trial beside the baseline, the same patients."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from brainseg_jax.metrics import paired
from brainseg_jax.metrics.segmentation import bootstrap_interval

Run = Mapping[str, Any]  # of runs/trials.py
Row = dict[str, str]
BASELINE = "none: the baseline"
NOT_SET = "-"  # of a key that only the baseline has

PAGE = """# {title}

Written by `python main.py --mode=trials` from `{file}`, which has the Dice of every
patient; not to be edited by hand. A patient's Dice is the mean over a trial's seeds, a
difference is to the baseline on the same patients, and brackets hold 95 % intervals over
patients. Minutes are processor time of one training, of all cores together, without start
and compiling.

Data: {data}.

## Trials

{trials}

## The same recipe by another seed

What is smaller than this may be chance.

{repeats}

## Every run

{each}
"""


def page(runs: Sequence[Run], *, title: str, file: str) -> str:
    """All of it, in Markdown."""
    tables = {
        "trials": markdown(of_trials(runs)),
        "repeats": markdown(repeats(runs)) or "No trial was run twice yet.",
        "each": markdown(each(runs)),
    }
    return PAGE.format(title=title, file=file, data=runs[0]["data"], **tables)


def of_trials(runs: Sequence[Run]) -> list[Row]:
    """A row per trial: what it scores, and what it gains over the baseline."""
    baseline = by_patient(by_trial(runs).get(BASELINE, []))
    rows = []
    for name, own in by_trial(runs).items():
        scores = by_patient(own)
        rows.append(
            {
                "change": name,
                "runs": str(len(own)),
                "steps": _range([run["steps"] for run in own]),
                "minutes": f"{np.mean([run['minutes'] for run in own]):.1f}",
                "patients": str(len(scores)),
                "mean patient Dice": _mean(list(scores.values())),
                **(_gain(scores, baseline) if name != BASELINE else {}),
            }
        )
    return rows


def repeats(runs: Sequence[Run]) -> list[Row]:
    """A row for each two runs of a trial on one split: the later minus the first."""
    rows = []
    for name, own in by_trial(runs).items():
        for place, later in enumerate(own):
            first = next(run for run in own if run["split"] == later["split"])
            if first is own[place]:
                continue
            seeds = f"{later['seed']} minus {first['seed']}"
            gain = _gain(later["dice"], first["dice"])
            rows.append(
                {"change": name, "split": later["split"], "seeds": seeds, **gain}
            )
    return rows


def each(runs: Sequence[Run]) -> list[Row]:
    """A row for each."""
    return [
        {
            "change": trial_name(run["changes"]),
            "trained on": run["trained_on"],
            "scored on": run["split"],
            "seed": str(run["seed"]),
            "steps": str(run["steps"]),
            "minutes": f"{run['minutes']:.1f}",
            "mean patient Dice": _mean(list(run["dice"].values())),
        }
        for run in runs
    ]


def by_trial(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The baseline first, then in the order in which trials came."""
    found: dict[str, list[Run]] = {BASELINE: []}
    for run in runs:
        found.setdefault(trial_name(run["changes"]), []).append(run)
    return {name: own for name, own in found.items() if own}


def by_patient(runs: Sequence[Run]) -> dict[str, float]:
    """The mean of each patient over the runs that scored it."""
    values: dict[str, list[float]] = {}
    for run in runs:
        for patient, dice in run["dice"].items():
            values.setdefault(patient, []).append(dice)
    return {patient: float(np.mean(own)) for patient, own in values.items()}


def trial_name(changes: Mapping[str, str]) -> str:
    """What differs from the baseline's config, as on the command line."""
    said = [
        f"without `{key}`" if value == NOT_SET else f"`{key}={value}`"
        for key, value in changes.items()
    ]
    return ", ".join(said) or BASELINE


def markdown(rows: Sequence[Row]) -> str:
    """A table whose columns are those of all rows; "" of none."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[row.get(name, "") for name in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) if rows else ""


def _gain(scores: Mapping[str, float], others: Mapping[str, float]) -> Row:
    """Over the patients that both have."""
    shared = [patient for patient in scores if patient in others]
    if not shared:
        return {"difference": "no patient in common"}
    ours, theirs = (np.array([one[p] for p in shared]) for one in (scores, others))
    found = paired.compare(ours, theirs)
    return {
        "difference": f"{found['difference']:+.3f} ({found['low']:+.3f} to "
        f"{found['high']:+.3f})",
        "better, worse": f"{found['better']}, {found['worse']} of {len(shared)}",
    }


def _mean(values: Sequence[float]) -> str:
    low, high = bootstrap_interval(np.array(values, float))
    return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f})"


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
