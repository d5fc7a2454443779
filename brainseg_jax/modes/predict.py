"""Masks and overlays, classes, or both, of image files, by the best checkpoint of a run."""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import logging

from brainseg_jax.data import dicom_files, image_files, meshes, modalities
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import (
    ensembles,
    familiarity,
    mending,
    output_folder,
    picture_outputs,
    pictures,
    precision,
    restore,
    results,
    truth,
    volumes,
)
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.truth import Truth

OF_SCANS = ("pages", *meshes.WRITERS)
ALSO = tuple(dict.fromkeys([*picture_outputs.ALSO, *OF_SCANS]))
Row = dict[str, Any]


def run(request: Any) -> None:
    """--mode=predict: by the checkpoint's own config; --config only names the workdir."""
    request.refuse_overrides()
    flags = request.flags
    predict(
        request.workdir,
        flags.inputs,
        flags.outputs,
        flags.axis,
        flags.also,
        flags.truth,
    )


def predict(
    workdir: str,
    inputs: Sequence[str],
    outputs: str,
    axis: str = "axial",
    also: Sequence[str] = (),
    true: str = "",
) -> list[Row]:
    """Predicts every image below `inputs`; gives the rows of `predictions.csv`.

    Where there are NIfTI files or DICOM series, it is scans that are predicted
    (runs/volumes.py), and pictures among them are left out. `axis` is that along which a
    model of slices sees them, one of scans.AXES. `also` is what else is written, of ALSO;
    `true` a folder of masks, with which theirs are compared.

    Each mask has its image's own size and the publisher's label values; of a classifier
    there are the rows alone, of a net with two heads both. Intensities are normalised over
    a whole volume (patient or folder) where the model was trained so.

    Raises:
        ValueError: if `inputs` or `outputs` is empty, if `outputs` is a file or lies in the
            inputs, if two inputs would be written under one name, or if the checkpoint is
            damaged or too old.
        UnreadableImage: at the end, if files cannot be decoded or are not of the model's
            kind.
        FileNotFoundError: if there are no images, or no checkpoint in `workdir`.
        OSError: if `outputs` cannot be written.
    """
    inputs = image_files.expand(inputs)
    folder = _check_request(inputs, outputs, also)
    series = dicom_files.find_series(inputs)
    scanned = [*modalities.find_volumes(inputs), *series]
    found = [] if scanned else image_files.find_images(inputs)
    restored = ensembles.restore_all(workdir)
    precision.set_precision(restored.record.about.config)
    if series and series == scanned and restored.parts.task.name != "segmentation":
        found, scanned = found or image_files.find_images(inputs), []  # slice by slice
    _tell_ignored(also, OF_SCANS if scanned else picture_outputs.ALSO)
    _check_truth(true, restored)
    card = ensembles.card_of(workdir, restored)
    restored = mending.as_chosen(restored, card)
    if scanned:
        rules = card.rules if card else Rules()
        _tell_pictures(inputs, series)
        judge = familiarity.judge_of(workdir, restored)
        rows = volumes.predict(
            restored, scanned, folder, axis, rules, also, judge=judge, true=true
        )
        logging.info("%d scans predicted in %s. Not for diagnosis.", len(rows), folder)
    else:
        known = truth.find(true, found, restored.record.about) if true else None
        rows = _predict_pictures(restored, workdir, found, folder, card, also, known)
    if note := restored.record.about.note:
        logging.warning("The model was trained on: %s.", note)
    return rows


def _check_request(
    inputs: Sequence[str], outputs: str, also: Sequence[str]
) -> pathlib.Path:
    """The folder to write to, if all that is asked for can be."""
    if not inputs or not outputs:
        raise ValueError(
            "--mode=predict needs --inputs=<files or folders> and --outputs=."
        )
    if unknown := {*also} - {*ALSO}:
        raise ValueError(
            f"--also has {unknown.pop()!r}; it can have {', '.join(ALSO)}."
        )
    if {*also} & {*meshes.WRITERS} and meshes.measure is None:
        raise ValueError(meshes.NEEDS_EXTRA)
    return output_folder.check(inputs, outputs)


def _check_truth(true: str, restored: restore.Restored) -> None:
    """Refuses true masks where none are predicted."""
    if true and not restored.parts.task.uses_masks:
        raise ValueError(
            "--truth has masks, and the model gives classes; leave it out."
        )


def _tell_ignored(also: Sequence[str], known: Sequence[str]) -> None:
    if ignored := [name for name in also if name not in known]:
        logging.warning(
            "--also=%s is not written of such inputs, which may have %s.",
            ",".join(ignored),
            ", ".join(known),
        )


def _tell_pictures(inputs: Sequence[str], series: Sequence[pathlib.Path]) -> None:
    """Warns of pictures that lie among scans, which alone are predicted."""
    others = [path for path in inputs if not path.lower().endswith(modalities.ENDINGS)]
    try:
        found = image_files.find_images(others)
    except FileNotFoundError:  # none
        return
    folders = {folder.absolute() for folder in series}
    if left_out := [one for one in found if one.absolute().parent not in folders]:
        logging.warning(
            "Left out %d pictures among the scans; give them a folder of their own.",
            len(left_out),
        )


def _predict_pictures(
    restored: restore.Restored,
    workdir: str,
    found: Sequence[pathlib.Path],
    outputs: pathlib.Path,
    card: Card | None,
    also: Sequence[str],
    known: Truth | None,
) -> list[Row]:
    if (axes := restored.record.about.info.dimensions) != 2:
        raise ValueError(
            f"{workdir} holds a model of volumes with {axes} axes, and the inputs are "
            "pictures of 2. Give it NIfTI files (.nii.gz)."
        )
    unlike, measured = familiarity.judge_of(workdir, restored)
    asked = {
        **results.made_by(restored, card, also),
        **truth.made_from(known),
        **measured,
    }
    with results.Results(outputs, asked) as written:
        rows = pictures.predict(
            restored, found, outputs, written, card, also, truth=known, unlike=unlike
        )
    if known:
        truth.tell(rows, known)
    logging.info("%d images predicted in %s. Not for diagnosis.", len(rows), outputs)
    output_folder.refuse_unreadable(written.failed, len(found), outputs)
    return rows
