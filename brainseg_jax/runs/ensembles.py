"""The best models of several runs as one, or that of a single run.

Several are named as a,b, or by a folder that stands for them: see members.py.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from brainseg_jax.inference.ensemble import Ensemble, join
from brainseg_jax.runs import cards, members, restore
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.records import Choice
from brainseg_jax.runs.restore import Restored

# What gives inputs and outputs their meaning: parts of the config, and of the data set.
SAME_KEYS = (
    *("data.size", "data.neighbours", "data.normalisation"),
    *("task", "evaluation"),
)
SAME_DATA = ("channels", "classes", "painting", "labels", "dimensions")


def folders(workdir: str | pathlib.Path) -> list[str]:
    """Those that --workdir=a,b names; a folder whose own name has a comma is one."""
    if pathlib.Path(workdir).is_dir():
        return [str(workdir)]
    return [part for part in str(workdir).split(",") if part]


def runs_of(workdir: str | pathlib.Path) -> list[str]:
    """The folders of all runs that --workdir=a,b stands for; see members.py."""
    named = folders(workdir) or [str(workdir)]
    return [run for folder in named for run in members.folders(folder)]


def said(workdir: str | pathlib.Path) -> str:
    """What every table and picture of several runs has to say; "" of one."""
    count = len(runs_of(workdir))
    return f"ENSEMBLE of {count}" if count > 1 else ""


def restore_all(workdir: str | pathlib.Path) -> Restored:
    """The best model of a run, or of several the mean of their probabilities.

    Raises:
        NoCheckpoint: if a folder holds none.
        ValueError: if the runs differ in what an image or a class is.
    """
    named = runs_of(workdir)
    every = [restore.restore(folder) for folder in named]
    if len(every) == 1:
        return every[0]
    first, *others = every
    for folder, other in zip(named[1:], others, strict=True):
        _check_alike(named[0], first, folder, other)
    nets = tuple(one.parts.model for one in every)
    model = Ensemble(nets, jax.tree.map(bool, first.parts.task.exclusive))
    abouts = [one.record.about for one in every]
    about = dataclasses.replace(
        abouts[0],
        config=_joined_config([a.config for a in abouts]),
        note="; ".join(
            dict.fromkeys([said(workdir), *(a.note for a in abouts)])
        ).removesuffix("; "),
        trained_patients=_union([a.trained_patients for a in abouts]),
        validation_patients=_union([a.validation_patients for a in abouts]),
        parameters=sum(a.parameters for a in abouts),
    )
    choices = [one.record.choice for one in every]
    choice = Choice(
        "; ".join(dict.fromkeys(one.how for one in choices)),
        _union([one.patients for one in choices]),
    )
    return Restored(
        first.record._replace(about=about, choice=choice),
        first.parts._replace(model=model),
        join([one.variables for one in every]),
    )


def _joined_config(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first's; they take scans that lack a channel as the one trained least so."""
    chance = min(one["augment"]["channel_dropout"] for one in configs)
    first = dict(configs[0])
    return first | {"augment": {**first["augment"], "channel_dropout": chance}}


class CardPlace(NamedTuple):
    """Where the card of a run lies, or of several as one, and its checkpoints."""

    workdir: str
    name: str
    step: cards.Step


def card_place(workdir: str | pathlib.Path, restored: Restored) -> CardPlace:
    named, runs = folders(workdir) or [str(workdir)], runs_of(workdir)
    if runs == named[:1]:
        return CardPlace(named[0], cards.FILE, restored.record.step)
    name = cards.FILE if len(named) == 1 else f"card_ensemble_of_{len(runs)}.json"
    return CardPlace(named[0], name, steps_of(named[0], runs))


def steps_of(home: str | pathlib.Path, runs: Sequence[str]) -> dict[str, int]:
    """Of the best checkpoint of each run, by its folder as seen from `home`."""
    return {cards.seen_from(home, run): restore.read_best(run).step for run in runs}


def step_of(workdir: str | pathlib.Path) -> cards.Step:
    """Of the best checkpoint of a run, or of each that a folder stands for."""
    runs = members.folders(workdir)
    if runs == [str(workdir)]:
        return restore.read_best(workdir).step
    return steps_of(workdir, runs)


def card_of(workdir: str | pathlib.Path, restored: Restored) -> Card | None:
    """What the validation split of a run chose, or of several as one."""
    place = card_place(workdir, restored)
    return cards.read(place.workdir, place.step, name=place.name)


def _check_alike(
    folder: str, first: Restored, other_folder: str, other: Restored
) -> None:
    for key in SAME_KEYS:
        ours, theirs = (_part(one.record.about.config, key) for one in (first, other))
        _refuse(f"config.{key}", folder, ours, other_folder, theirs)
    for field in SAME_DATA:
        ours, theirs = (getattr(one.record.about.info, field) for one in (first, other))
        _refuse(field, folder, ours, other_folder, theirs)
    infos = first.record.about.info, other.record.about.info
    if not infos[0].alike_spaced(infos[1]):  # medians of each run's own volumes
        _refuse("spacing", folder, infos[0].spacing, other_folder, infos[1].spacing)


def _refuse(what: str, folder: str, ours: Any, other_folder: str, theirs: Any) -> None:
    if ours != theirs:
        raise ValueError(
            f"{folder} and {other_folder} cannot be averaged: {what} is {ours} in the one "
            f"and {theirs} in the other."
        )


def _part(config: Mapping[str, Any], key: str) -> Any:
    """Of nested tables; of evaluation only what probabilities depend on."""
    part: Any = config
    for name in key.split("."):
        part = part[name]
    if key == "evaluation":
        names = ("threshold", "mirror", "window", "overlap", "window_batch")
        return {name: part[name] for name in names}
    return part


def _union(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for group in groups for one in group))
