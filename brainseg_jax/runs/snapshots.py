"""Snapshots: the weights at the end of each cycle of a cosine schedule that begins anew.

Huang et al. 2017 (arXiv 1704.00109): models of one training that differ enough for their
mean to be better than each. Every snapshot is the folder of a run, and the folder of them
all stands for their ensemble.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from brainseg_jax import files
from brainseg_jax.runs import checkpoints, members, records, restore, resume
from brainseg_jax.runs.records import About, Progress
from brainseg_jax.training.state import TrainState

FOLDER = "snapshots"


def ended(epoch: int, cycle_epochs: int) -> int:
    """The number, from 1, of the cycle that ends with an epoch; 0 if none does."""
    whole = cycle_epochs > 0 and epoch % cycle_epochs == 0
    return epoch // cycle_epochs if whole else 0


def refuse_earlier(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
    """Before a training begins: another's snapshots would be taken for its own.

    Its own may lie there: a cycle's end is written before the checkpoint.

    Raises:
        ValueError: if there are any of another config.
    """
    first = workdir / FOLDER / "cycle_1"
    if not checkpoints.exist(first):
        return
    unlike = resume.differences(restore.read_best(first).about.config, config)
    if unlike:
        key, (earlier, now) = next(iter(unlike.items()))
        raise ValueError(
            f"{workdir / FOLDER} holds snapshots of an earlier training: config.{key} is "
            f"{earlier} there and {now} now. Delete it, or give another --workdir."
        )


def keep(
    workdir: pathlib.Path,
    cycle: int,
    state: TrainState,
    about: About,
    progress: Progress,
) -> None:
    """Writes a cycle's end, unless a run that was stopped since has written it already."""
    names = [f"cycle_{number + 1}" for number in range(cycle)]
    folder = workdir / FOLDER / names[-1]
    if not checkpoints.exist(folder):
        with checkpoints.Checkpoints(folder) as saved:
            saved.save(state, records.to_json(about, progress), None)
    files.write_json(folder / "config.json", vars(about))
    members.write(workdir / FOLDER, members.SNAPSHOTS, names)
