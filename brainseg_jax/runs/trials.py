"""The record of a search for a recipe: a baseline's config, and what every run scored.

Runs that differ in nothing but seed and in which folds they are of are one trial; one that
differs in nothing else from the baseline repeats it. Training on more folds than the
baseline is another trial.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.reports.parts import patient_scores
from brainseg_jax.runs import records
from brainseg_jax.runs.reported import Reported

Run = dict[str, Any]
Record = dict[str, Any]  # {"reference": a config, "runs": [...]}

# Keys that do not make another trial: who is trained on and scored, and where data lie.
SAME_TRIAL = (
    *("seed", "data.train", "data.validation", "data.test"),
    *("data.data_dir", "data.raw_dir", "data.cache", "data.folder.", "logging."),
)
SECONDS = "seconds_processor"  # a column of history.csv


def read(path: pathlib.Path) -> Record | None:
    """None where there is none yet.

    Raises:
        ValueError: if the file is none, or damaged.
    """
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
        config = records.with_later_keys(found["reference"])
        return {"reference": config, "runs": list(found["runs"])}
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path} is no record of trials ({error!r}). Name another --outputs=, or "
            "fetch it from the repository again."
        ) from error


def reference_of(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A baseline's config, without what makes no other trial: nothing of one machine."""
    return {
        name: reference_of(value, f"{prefix}{name}.")
        if isinstance(value, Mapping)
        else value
        for name, value in config.items()
        if not f"{prefix}{name}".startswith(SAME_TRIAL)
    }


def more_folds(config: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, str]:
    """The change that training on another number of folds is than the first run's."""
    if not runs:
        return {}
    folds = config["data"]["train"].split("+")
    same = len(folds) == len(runs[0]["trained_on"].split("+"))
    return {} if same else {"data.train": f"{len(folds)} folds"}


def of_report(found: Reported, changes: Mapping[str, str]) -> Run:
    """What the record keeps of a run that was scored; `changes` of the baseline's config.

    Raises:
        ValueError: if the run does not say what it cost, or chose its epoch by the patients
            it is scored on.
    """
    evaluated, data = records.evaluations(found.history), found.about.config["data"]
    if found.split == data["validation"] and evaluated > 1:
        raise ValueError(
            f"{found.workdir} chose the best of {evaluated} epochs by {found.split}, "
            "so its score there is too good. Train with --config.evaluation.every_epochs "
            "of all epochs, or score a test split."
        )
    if not all(SECONDS in row for row in found.history) or not found.history:
        raise ValueError(
            f"{found.workdir}/history.csv does not have {SECONDS} of every epoch: an older "
            "version began the run. Train it anew."
        )
    minutes = sum(row[SECONDS] for row in found.history) / 60
    scores = patient_scores.of_masks(found.tables["patients.csv"], found.about.info)
    return {
        "changes": dict(changes),
        "split": found.split,
        "trained_on": data["train"],
        "seed": found.about.config["seed"],
        "steps": int(found.history[-1]["step"]),
        "minutes": round(minutes, 2),
        "data": found.summary["data"],
        "dice": {name: round(value, 5) for name, value in scores["Dice"].items()},
    }


def with_run(runs: Sequence[Run], new: Run) -> list[Run]:
    """With a run added, in the place of one of the same trial, split and seed.

    Raises:
        ValueError: if it was scored on other data.
    """
    for one in runs:
        if one["data"] != new["data"]:
            raise ValueError(
                f"The record's runs were scored on {one['data']} and this one on "
                f"{new['data']}; keep them in another --outputs."
            )
    left = [one for one in runs if _identity(one) != _identity(new)]
    place = next(
        (k for k, one in enumerate(runs) if _identity(one) == _identity(new)), len(runs)
    )
    return [*left[:place], new, *left[place:]]


def _identity(run: Run) -> tuple[Any, ...]:
    return run["changes"], run["split"], run["seed"]
