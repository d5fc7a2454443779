"""Where the report of a split lies, and of which checkpoint it is."""

import json
import pathlib

from brainseg_jax.runs import cards, ensembles, restore, scored_splits, summaries
from brainseg_jax.runs.records import About


def report_folder(
    workdir: str | pathlib.Path,
    about: About,
    data_name: str,
    split: str,
    kind: str = "evaluation",
) -> pathlib.Path:
    """Where a split's report lies; another data set's has its name before it.

    That of several runs as one lies in the first's folder, in a folder of its own.
    """
    own = data_name == about.config["data"]["name"]
    parts = [] if own else [data_name.replace("/", "_")]
    name = "_".join([*parts, split.replace("+", "_")])
    first = pathlib.Path(ensembles.folders(workdir)[0])
    return first / kind / ensembles.name_of(workdir) / name


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
