"""A folder of several runs that count as one: members.json names them.

The folds of a cross-validation are each of other patients, snapshots are of one training.
Wherever one run's folder is asked for, such a folder stands for all of its runs.
"""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from brainseg_jax import files

FILE = "members.json"
FOLDS, SNAPSHOTS = "folds", "snapshots"


class Members(NamedTuple):
    """What the runs are to each other, and their folders."""

    kind: str
    folders: tuple[str, ...]


def write(workdir: str | pathlib.Path, kind: str, names: Sequence[str]) -> pathlib.Path:
    """Of folders in `workdir`, by their names, so that the whole can be moved."""
    return files.write_json(
        pathlib.Path(workdir) / FILE, {"kind": kind, "members": names}
    )


def read(workdir: str | pathlib.Path) -> Members | None:
    """None where a folder is of no or of a single run.

    Raises:
        ValueError: if the file is damaged.
    """
    path = pathlib.Path(workdir) / FILE
    if not path.is_file():
        return None
    try:
        said = json.loads(path.read_text())
        folders = tuple(str(path.parent / str(name)) for name in said["members"])
        return Members(str(said["kind"]), folders)
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error!r}). Delete it: --mode=crossval writes that of "
            "its folds again, and any runs can be named one by one, --workdir=a,b."
        ) from error


def folders(workdir: str | pathlib.Path) -> list[str]:
    """The folders of all runs that a folder stands for: its members', or its own."""
    found = read(workdir)
    return list(found.folders) if found else [str(workdir)]


def are_folds(workdir: str | pathlib.Path) -> bool:
    """Whether a folder is of a cross-validation."""
    found = read(workdir)
    return found is not None and found.kind == FOLDS
