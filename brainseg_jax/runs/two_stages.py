"""A classifier and a segmenter that work one after the other, and whether they may."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from brainseg_jax.data import leakage
from brainseg_jax.runs import ensembles, mending
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored


class Stage(NamedTuple):
    """The best model of a run, or of several, marking as its card says."""

    workdir: str
    restored: Restored
    card: Card | None

    @property
    def about(self) -> About:
        return self.restored.record.about


class Pair(NamedTuple):
    classifier: Stage
    segmenter: Stage


def open_pair(classifier: str, segmenter: str) -> Pair:
    """Both models, if together they can find tumours in slices.

    Raises:
        NoCheckpoint: if a folder holds none.
        ValueError: if one of them is of another task, or they see other images.
    """
    pair = Pair(_open(classifier), _open(segmenter))
    _check_tasks(pair)
    _check_images(pair)
    return pair


def _open(workdir: str) -> Stage:
    restored = ensembles.restore_all(workdir)
    card = ensembles.card_of(workdir, restored)
    return Stage(workdir, mending.as_chosen(restored, card), card)


def _check_tasks(pair: Pair) -> None:
    for flag, stage, task in (
        ("--classifier", pair.classifier, "classification"),
        ("--segmenter", pair.segmenter, "segmentation"),
    ):
        own = stage.restored.parts.task.name
        if own != task:
            raise ValueError(
                f"{flag}={stage.workdir} holds a model of {own}; name the folder of one "
                f"that was trained with config.task.name={task}."
            )
    info = pair.classifier.about.info
    if info.kinds or len(info.labels) != 2:
        raise ValueError(
            f"--classifier={pair.classifier.workdir} tells {', '.join(info.labels)} apart, "
            f"the labels of {info.name}; two stages need one that tells tumour from none. "
            "Train it on slices of both kinds without labels of their own, such as lgg_mri "
            "(configs/cnn_lgg.py); figshare_brain_tumor has no slice without a tumour."
        )


def _check_images(pair: Pair) -> None:
    for stage in pair:
        if stage.about.info.dimensions != 2:
            raise ValueError(
                f"{stage.workdir} holds a model of volumes; two stages are of slices. "
                "--mode=predict segments volumes."
            )
    one, other = (stage.about.info for stage in pair)
    for what in ("all_channels", "dtype"):
        ours, theirs = getattr(one, what), getattr(other, what)
        if ours != theirs:
            raise ValueError(
                f"{pair.classifier.workdir} was trained on images of {ours} and "
                f"{pair.segmenter.workdir} on {theirs}: no image is of both. Train both on "
                "one data set."
            )


def of_all_slices(restored: Restored) -> Restored:
    """The same model scored on every slice, though it was trained on those with tumour."""
    about = restored.record.about
    config = dict(about.config)
    config["data"] = {**config["data"], "only_tumour": False}
    about = dataclasses.replace(about, config=config)
    return restored._replace(record=restored.record._replace(about=about))


def other_folds(pair: Pair) -> str:
    """What has to be said of models that were not made of the same patients; else ""."""
    parts = []
    abouts = [stage.about for stage in pair]
    for whose, named in (
        ("trained on", [about.trained_patients for about in abouts]),
        ("validated on", [_validated(about) for about in abouts]),
    ):
        ours, theirs = map(_whole_folds, abouts, named)
        count = len(_without(ours, theirs)) + len(_without(theirs, ours))
        if count:
            parts.append(f"{count} patients that only one was {whose}")
    if not parts:
        return ""
    return (
        "CONTAMINATED: classifier and segmenter are of other folds, "
        f"{' and '.join(parts)}"
    )


def refuse_other_folds(pair: Pair) -> None:
    """Raises ValueError where one model may have seen what the other was chosen by."""
    if said := other_folds(pair):
        raise ValueError(
            f"{said}. Train both with the same config.data.train and "
            "config.data.validation of one data set, or add --allow_contaminated."
        )


def _validated(about: About) -> tuple[str, ...]:
    return (*about.validation_patients, *about.earlier_choosers)


def _whole_folds(about: About, named: Sequence[str]) -> set[str]:
    """Patients with all of their folds: some may have no slice with tumour."""
    folds = about.info.folds
    numbers = {folds[name] for name in named if name in folds}
    return {*named} | {name for name, number in folds.items() if number in numbers}


def _without(patients: set[str], others: set[str]) -> set[str]:
    return patients - {*leakage.known(patients, others)}
