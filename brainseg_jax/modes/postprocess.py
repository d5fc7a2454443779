"""Chooses how predictions are mended, by the validation split of a run alone."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from absl import logging

from brainseg_jax.data import profiles, sources
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import (
    cards,
    ensembles,
    experiment,
    familiarity,
    members,
    out_of_fold,
    pixel_temperatures,
    precision,
    restore,
    slice_rules,
    temperatures,
    volume_rules,
)
from brainseg_jax.runs.embedder import make_embedder
from brainseg_jax.runs.out_of_fold import Fold
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored

# Of models with their validation splits: the rules, and what the card says of them
Chooser = Callable[[Sequence[Fold], pathlib.Path], tuple[Rules, dict[str, Any]]]


def run(request: Any) -> None:
    """--mode=postprocess: by the checkpoint's own config and its validation split."""
    request.refuse_overrides()
    choose(request.workdir, data_dir=request.flags.data_dir)


def choose(workdir: str | pathlib.Path, *, data_dir: str = "") -> Rules:
    """Tries all rules and writes those with the highest mean Dice over patients.

    Where none raises it, the card says so and masks stay as they are. Of slices a threshold
    and a temperature are chosen, too; of classes a temperature alone. Several runs as one
    have a card of their own.

    Raises:
        FileNotFoundError: if there is no checkpoint, or the data set is not prepared.
        ValueError: if the model has two heads, or if one of several runs was trained on
            those patients.
    """
    if members.are_folds(workdir):
        return choose_of_folds(workdir, data_dir=data_dir)
    restored = ensembles.restore_all(workdir)
    about, chooser = restored.record.about, _chooser_of(workdir, restored)
    precision.set_precision(about.config)
    split = _validation_of(workdir, about)
    source = _open_split(restored, split, data_dir, chooser is not OF_CLASSES)
    if ensembles.said(workdir):  # leaky splits of one run share patients on purpose
        _refuse_trained(about, source)
    place = ensembles.card_place(workdir, restored)
    figures = ensembles.figures_of(workdir)
    rules, found = chooser([Fold(split, restored, source)], figures)
    said = {
        "chosen_on": split,
        "patients": len(set(source.patients)),
        **found,
        "note": about.note,
    }
    path = cards.write(place.workdir, rules, place.step, said, name=place.name)
    _tell(path, rules, said, figures)
    runs = ensembles.runs_of(workdir)
    for run in runs:
        own = restored if len(runs) == 1 else restore.restore(run)
        _measure_familiarity(own, source, run, data_dir)
    return rules


def choose_of_folds(workdir: str | pathlib.Path, *, data_dir: str = "") -> Rules:
    """The same for a cross-validation, by each model's own validation fold.

    Without validation folds by the tested ones, which their models have not seen either.
    The card is of the ensemble of all. It is not asked in the report out of fold, whose
    patients it was chosen by.

    Raises:
        FileNotFoundError: if a checkpoint is gone, or the data set is not prepared.
        ValueError: if the models have two heads.
    """
    runs = [restore.restore(folder) for folder in members.folders(workdir)]
    about, chooser = runs[0].record.about, _chooser_of(workdir, runs[0])
    precision.set_precision(about.config)
    options = [run.record.about.config["data"] for run in runs]
    splits = [one["validation"] or one["test"] for one in options]
    folds = [
        Fold(split, run, _open_split(run, split, data_dir, chooser is not OF_CLASSES))
        for split, run in zip(splits, runs, strict=True)
    ]
    figures = ensembles.figures_of(workdir)
    rules, found = chooser(folds, figures)
    said = {
        "chosen_on": out_of_fold.splits_of(folds),
        "patients": sum(len({*fold.source.patients}) for fold in folds),
        **found,
        "note": about.note,
    }
    path = cards.write(workdir, rules, ensembles.step_of(workdir), said)
    _tell(path, rules, said, figures)
    for run, fold in zip(members.folders(workdir), folds, strict=True):
        _measure_familiarity(fold.restored, fold.source, run, data_dir)
    return rules


def _validation_of(workdir: str | pathlib.Path, about: About) -> str:
    """The split that chooses; ValueError where a run was trained without."""
    if split := about.config["data"]["validation"]:
        return split
    raise ValueError(
        f"{workdir} was trained without a validation split (config.data.validation is "
        "empty), so that there is none to choose by. Train with one, or predict by the "
        "threshold of the config."
    )


def _chooser_of(workdir: str | pathlib.Path, restored: Restored) -> Chooser:
    task, axes = restored.parts.task.name, restored.record.about.info.dimensions
    chooser = CHOICES.get((task, axes))
    if chooser is None:
        raise ValueError(
            f"{workdir} holds a model of {task} with {axes} axes; --mode=postprocess is "
            "for masks alone and for classes of slices alone."
        )
    return chooser


def _measure_familiarity(
    restored: Restored,
    validation: sources.Source,
    workdir: str | pathlib.Path,
    data_dir: str,
) -> None:
    """How far validation patients lie from those trained on, for `predict` to compare."""
    about = restored.record.about
    training = _open_split(restored, about.config["data"]["train"], data_dir)
    embedder = make_embedder(restored, profiles.SLICES)
    found = familiarity.measure(embedder, training, validation)
    if found is None:
        return
    path = familiarity.write(workdir, restored.record.step, found)
    logging.info(
        "%s: validation patients lie %.3g to %.3g from the training images, as the model "
        "sees them; predict warns beyond %.3g.",
        path,
        *found.usual,
        found.most,
    )


def _of_slices(
    folds: Sequence[Fold], folder: pathlib.Path
) -> tuple[Rules, dict[str, Any]]:
    """Threshold, rules and temperature of masks."""
    rules, said = slice_rules.choose_of(folds, folder)
    return rules, said | pixel_temperatures.choose_of(folds, folder)


OF_CLASSES = temperatures.choose_of
CHOICES: dict[tuple[str, int], Chooser] = {
    ("segmentation", 3): volume_rules.choose_of,
    ("segmentation", 2): _of_slices,
    ("classification", 2): OF_CLASSES,
}


def _refuse_trained(about: About, source: sources.Source) -> None:
    """Of runs that were validated on one another's training patients none is left."""
    if shared := sorted({*about.trained_patients} & {*source.patients}):
        raise ValueError(
            f"{about.config['data']['validation']} has {len(shared)} patients that one of "
            f"the runs was trained on ({', '.join(shared[:3])}): masks are mended by what "
            "none of them has seen. Give runs that were validated on one split."
        )


def _open_split(
    restored: Restored, split: str, data_dir: str, with_masks: bool = True
) -> sources.Source:
    about = restored.record.about
    options = about.settings.data
    return sources.open_split(
        options.name,
        split,
        data_dir or options.data_dir,
        channels=about.info.channels,
        size=experiment.scored_size(about.settings),
        reach=options.neighbours,
        normalisation=options.normalisation.to_dict(),
        foreground=about.settings.task.foreground,
        stored_masks=True,
        with_masks=with_masks,
        only_tumour=options.only_tumour,
    )


def _tell_temperature(path: pathlib.Path, said: dict[str, Any]) -> None:
    before, after = (said[f"{one}_temperature"] for one in ("without", "with"))
    (error,) = (name for name in before if name.endswith("_ece"))
    logging.info(
        "%s: expected calibration error on %s %.4f without and %.4f with temperature "
        "%.3f.",
        path,
        said["chosen_on"],
        before[error],
        after[error],
        said["temperature"],
    )


def _tell(
    path: pathlib.Path, rules: Rules, said: dict[str, Any], figures: pathlib.Path
) -> None:
    if "temperature" in said:
        _tell_temperature(path, said)
    if cards.LEFT_OUT in said:
        reason = cards.no_temperature(said[cards.LEFT_OUT])
        logging.warning("%s, by %s: %s.", path, said["chosen_on"], reason)
    if "tried" not in said:  # of classes nothing else is chosen
        return
    if "threshold" in said:
        logging.info(
            "threshold %.2f chosen, %.2f in the config; its curve is in %s",
            said["threshold"],
            said["threshold_without"],
            figures,
        )
    changed = {k: v for k, v in rules._asdict().items() if v}
    if said.get("threshold") != said.get("threshold_without"):
        changed = {"threshold": said["threshold"], **changed}
    logging.info(
        "%s: mean patient Dice on %s %.4f without and %.4f with %s, the best of %d.",
        path,
        said["chosen_on"],
        said["patient_dice_without"],
        said["patient_dice_with"],
        changed or "nothing changed",
        said["tried"],
    )
