"""The best models of several runs as one, or that of a single run."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from brainseg_jax.inference.ensemble import Ensemble, join
from brainseg_jax.runs import cards, restore
from brainseg_jax.runs.cards import Card
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


def said(workdir: str | pathlib.Path) -> str:
    """What every table and picture of several runs has to say; "" of one."""
    count = len(folders(workdir))
    return f"ENSEMBLE of {count}" if count > 1 else ""


def restore_all(workdir: str | pathlib.Path) -> Restored:
    """The best model of a run, or of several the mean of their probabilities.

    Raises:
        NoCheckpoint: if a folder holds none.
        ValueError: if the runs differ in what an image or a class is.
    """
    named = folders(workdir) or [str(workdir)]
    every = [restore.restore(folder) for folder in named]
    if len(every) == 1:
        return every[0]
    first, *others = every
    for folder, other in zip(named[1:], others, strict=True):
        _check_alike(named[0], first, folder, other)
    if first.parts.task.heads is not None:
        raise ValueError(
            "Nets with two heads are not averaged; give one --workdir of them."
        )
    members = tuple(one.parts.model for one in every)
    model = Ensemble(members, bool(first.parts.task.exclusive))
    abouts = [one.record.about for one in every]
    about = dataclasses.replace(
        abouts[0],
        config=_joined_config([a.config for a in abouts]),
        note="; ".join(
            dict.fromkeys([said(workdir), *(a.note for a in abouts)])
        ).removesuffix("; "),
        trained_patients=_union([a.trained_patients for a in abouts]),
        chosen_patients=_union([a.chosen_patients for a in abouts]),
        parameters=sum(a.parameters for a in abouts),
    )
    return Restored(
        first.record._replace(about=about),
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
    named = folders(workdir) or [str(workdir)]
    if len(named) == 1:
        return CardPlace(named[0], cards.FILE, restored.record.step)
    steps = {
        str(pathlib.Path(folder).resolve()): restore.read_best(folder).step
        for folder in named
    }
    return CardPlace(named[0], f"card_ensemble_of_{len(named)}.json", steps)


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
