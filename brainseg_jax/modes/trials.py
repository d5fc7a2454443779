"""Adds scored runs to the record of a search for a recipe, and writes its page anew."""

import pathlib
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict
from rich.console import Console
from rich.markdown import Markdown

from brainseg_jax import files
from brainseg_jax.reports.parts import trial_tables
from brainseg_jax.runs import (
    config_changes,
    ensembles,
    members,
    report_folders,
    reported,
    scored_splits,
    trials,
)
from brainseg_jax.runs.reported import Reported

TASK = "segmentation"


def run(request: Any) -> None:
    """--mode=trials: of finished runs alone; no workdir writes the page anew."""
    request.refuse_overrides()
    workdir = request.flags.workdir
    add(ensembles.folders(workdir) if workdir else [], request.flags.outputs)


def add(workdirs: Sequence[str], outputs: str) -> trials.Record:
    """Adds runs to the record `outputs`; the first of a new record is the baseline.

    The page lies beside the record, with the ending .md.

    Raises:
        FileNotFoundError: if a run was not scored.
        ValueError: if `outputs` is no JSON file, or a run does not belong to the record;
            says what to do.
    """
    path = pathlib.Path(outputs)
    if path.suffix != ".json":
        raise ValueError(
            f"--mode=trials needs --outputs=<record>.json, not {outputs!r}: runs are added "
            "to it, and its page is written beside it."
        )
    record = trials.read(path)
    for workdir in workdirs:
        found = read_run(workdir)
        if record is None:
            record = {"reference": trials.reference_of(found.about.config), "runs": []}
        changes = changes_of(found.about.config, record["reference"])
        changes |= trials.more_folds(found.about.config, record["runs"])
        new = trials.of_report(found, changes)
        record = {**record, "runs": trials.with_run(record["runs"], new)}
    if record is None:
        raise ValueError(
            f"{path} is not there yet; give the baseline's --workdir to begin it."
        )
    files.write_json(path, record)
    files.write_atomically(path.with_suffix(".md"), page_of(record, path).encode())
    rows = trial_tables.of_trials(record["runs"])
    Console().print(Markdown(trial_tables.markdown(rows)))
    return record


def page_of(record: trials.Record, path: pathlib.Path) -> str:
    title = path.stem.replace("_", " ").capitalize()
    return trial_tables.page(record["runs"], title=title, file=path.name)


def read_run(workdir: str) -> Reported:
    """A finished run with the report of its own split."""
    if members.read(workdir) is not None:
        raise ValueError(
            f"{workdir} stands for several runs, and each is added by itself: "
            f"--workdir={','.join(members.folders(workdir))}."
        )
    about = reported.read_about(workdir)
    if (name := about.config["task"]["name"]) != TASK:
        raise ValueError(
            f"{workdir} is of config.task.name={name}; trials are compared by the Dice of "
            f"patients, which only {TASK} has."
        )
    split = scored_splits.default_split(about)
    folder = report_folders.report_folder(
        workdir, about, about.config["data"]["name"], split
    )
    return reported.read(workdir, workdir, about, split, folder)


def changes_of(config: Any, reference: Any) -> dict[str, str]:
    """Keys of a config that make it another trial than the reference, with their values."""
    ours, theirs = (ConfigDict(dict(one)) for one in (config, reference))
    return {
        key: value
        for key, value, _ in config_changes.compare(ours, theirs).different
        if not key.startswith(trials.SAME_TRIAL)
    }
