"""The best models of several runs as one, or that of a single run.

Several are named as a,b, or by a folder that stands for them: see members.py.
"""

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from brainseg_jax.inference import ensemble
from brainseg_jax.inference.ensemble import Ensemble
from brainseg_jax.runs import cards, members, restore
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.records import Choice
from brainseg_jax.runs.restore import Restored

# What gives inputs and outputs their meaning: parts of the config, and of the data set.
SAME_KEYS = (
    *("data.size", "data.neighbours", "data.normalisation"),
    *("task", "evaluation"),
)
POSTPROCESS = "postprocess"  # of the figures of a card, in the run's folder
LONGEST = 60  # letters of the others' names in that of an ensemble
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


def name_of(workdir: str | pathlib.Path) -> str:
    """What is called by it lies in the first's folder: ensemble_of_2_with_b of a,b.

    "" where a single folder is named. Other folders beside the first are told apart by
    their names; what is elsewhere, or has long names, by a hash of the ways there, too.
    """
    first, *others = folders(workdir) or [str(workdir)]
    if not others:
        return ""
    ways = sorted(cards.seen_from(first, one) for one in others)
    names = [pathlib.Path(first, way).resolve().name for way in ways]
    said, beside = "+".join(names), [f"../{name}" for name in names]
    if ways != beside or len(said) > LONGEST or said.count("+") >= len(names):
        digest = hashlib.sha256("\n".join(ways).encode()).hexdigest()[:8]
        said = f"{said[:LONGEST]}_{digest}"
    return f"ensemble_of_{len(runs_of(workdir))}_with_{said}"


def restore_all(workdir: str | pathlib.Path) -> Restored:
    """The best model of a run, or of several the mean of their probabilities.

    Raises:
        NoCheckpoint: if a folder holds none.
        ValueError: if the runs differ in what an image or a class is, or one is named
            twice.
    """
    named = runs_of(workdir)
    _refuse_twins(workdir, named)
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
        ensemble.join([one.variables for one in every]),
    )


def parted(restored: Restored) -> list[Restored]:
    """Each net of restore_all's by itself, with what is said of all; one is as it is."""
    model = restored.parts.model
    if not isinstance(model, Ensemble):
        return [restored]
    nets = model.members
    return [
        restored._replace(parts=restored.parts._replace(model=net), variables=own)
        for net, own in zip(
            nets, ensemble.part(restored.variables, len(nets)), strict=True
        )
    ]


def _joined_config(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first's; they take scans that lack a channel as the one trained least so."""
    chance = min(one["augment"]["channel_dropout"] for one in configs)
    first = dict(configs[0])
    return first | {"augment": {**first["augment"], "channel_dropout": chance}}


def _refuse_twins(workdir: str | pathlib.Path, named: Sequence[str]) -> None:
    """The mean of a model and itself is that model, under another name."""
    counted = collections.Counter(pathlib.Path(run).resolve() for run in named)
    if twice := [run for run, count in counted.items() if count > 1]:
        raise ValueError(
            f"--workdir={workdir} holds {twice[0]} more than once, and an ensemble is of "
            "different runs. Name each once."
        )


def figures_of(workdir: str | pathlib.Path) -> pathlib.Path:
    """The folder of what was drawn and tabled when a card was chosen."""
    return pathlib.Path(folders(workdir)[0]) / POSTPROCESS / name_of(workdir)


class CardPlace(NamedTuple):
    """Where the card of a run lies, or of several as one, and its checkpoints."""

    workdir: str
    ensemble: str  # what it is called; "" of a single folder
    step: cards.Step

    @property
    def name(self) -> str:
        """Of the card's file."""
        return f"card_{self.ensemble}.json" if self.ensemble else cards.FILE

    @property
    def earlier_name(self) -> str:
        """Of a card by an earlier version, one name for all ensembles of so many."""
        return f"card_{self.ensemble.partition('_with_')[0]}.json"


def card_place(workdir: str | pathlib.Path, restored: Restored) -> CardPlace:
    named, runs = folders(workdir) or [str(workdir)], runs_of(workdir)
    if runs == named[:1]:
        return CardPlace(named[0], "", restored.record.step)
    return CardPlace(named[0], name_of(workdir), steps_of(named[0], runs))


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
    there = (pathlib.Path(place.workdir) / place.name).is_file()
    name = place.name if there or not place.ensemble else place.earlier_name
    return cards.read(place.workdir, place.step, name=name)


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
