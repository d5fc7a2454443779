"""Where the report of a split lies, and of which checkpoint it is."""

import json
import pathlib

from brainseg_jax.runs import cards, ensembles, restore, scored_splits, summaries
from brainseg_jax.runs.records import About


def report_folder(
    workdir: str | pathlib.Path, about: About, data_name: str, split: str
) -> pathlib.Path:
    """Where a split's report lies; another data set's has its name before it."""
    own = data_name == about.config["data"]["name"]
    first, *others = ensembles.folders(workdir)
    count = len(ensembles.runs_of(workdir))
    joined = [f"ensemble_of_{count}"] if others else []
    parts = joined if own else [*joined, data_name.replace("/", "_")]
    name = "_".join([*parts, split.replace("+", "_")])
    return pathlib.Path(first) / "evaluation" / name


def is_reported(workdir: str | pathlib.Path) -> bool:
    """Whether a run's own split was scored with its best checkpoint."""
    record = restore.read_best(workdir)
    about = record.about
    name, split = about.config["data"]["name"], scored_splits.default_split(about)
    path = report_folder(workdir, about, name, split) / summaries.FILE
    return reported_step(path) == record.step


def reported_step(path: pathlib.Path) -> cards.Step | None:
    """Of the checkpoint that a summary is of; None where there is none, or damaged."""
    try:
        return json.loads(path.read_text())["checkpoint_step"]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return None
