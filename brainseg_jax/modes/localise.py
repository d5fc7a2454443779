"""Where the tumours of a split are: truth and prediction as contours over the MRI."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from rich.progress import track

from brainseg_jax import files
from brainseg_jax.data import sources
from brainseg_jax.inference import localise, outlines
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.reports.parts import planes
from brainseg_jax.runs import (
    ensembles,
    notes,
    out_of_fold,
    precision,
    scored_splits,
)
from brainseg_jax.runs.restore import Restored

Row = dict[str, Any]


class Asked(NamedTuple):
    """A split, and the masks that are predicted of its examples."""

    source: sources.Source
    mask: Callable[[int], np.ndarray]  # of an example, [*space, 1]
    split: str
    note: str


def run(request: Any) -> None:
    """--mode=localise: by the checkpoint's own config; --config only names the workdir."""
    request.refuse_overrides()
    localise_split(
        request.workdir,
        request.flags.split,
        request.outputs,
        data_name=request.flags.data_name,
        data_dir=request.flags.data_dir,
    )


def localise_split(
    workdir: str, split: str, outputs: str, *, data_name: str = "", data_dir: str = ""
) -> list[Row]:
    """A picture and contours of each example where anything is, and lesions.csv.

    Of a volume it is the axial plane with most tumour. Of a cross-validation each patient
    is asked of the model that has not seen it, unless a split is named. Patients that were
    trained on are shown too, and the note says so.

    Raises:
        ValueError: if the model gives no masks.
        FileNotFoundError: if there is no checkpoint, or the data set is not prepared.
        OSError: if `outputs` cannot be written.
    """
    if scored_splits.is_by_fold(workdir, split, data_name):
        asked = _ask_folds(workdir, data_dir)
    else:
        asked = _ask_model(workdir, split, data_name, data_dir)
    source, folder = asked.source, pathlib.Path(outputs)
    rows = []
    for place in track(range(len(source)), "localising", transient=True):
        rows += _of_example(source, place, asked.mask(place), folder)
    told = [{**row, "note": asked.note} for row in rows]
    files.write_csv(folder / "lesions.csv", told)
    logging.info("%d lesions of %s: %s. %s", len(rows), asked.split, folder, asked.note)
    return rows


def _ask_model(workdir: str, split: str, data_name: str, data_dir: str) -> Asked:
    """One model, or several as one, of a split that none need have left out."""
    restored = ensembles.restore_all(workdir)
    _check_task(workdir, restored)
    precision.set_precision(restored.record.about.config)
    split = split or scored_splits.default_split(restored.record.about)
    source = scored_splits.open_source(
        restored, split, data_name=data_name, data_dir=data_dir
    )
    labels = scored_splits.predict_labels(restored, source)
    note = notes.of_runs(workdir, restored.record, source, split)
    return Asked(source, lambda place: _mask_of(labels(place)), split, note)


def _ask_folds(workdir: str, data_dir: str) -> Asked:
    """The models of a cross-validation, each of the patients that it has not seen."""
    folds, whole = scored_splits.open_folds(workdir, data_dir=data_dir)
    about = out_of_fold.joined([fold.restored.record.about for fold in folds])
    _check_task(workdir, folds[0].restored)
    precision.set_precision(about.config)
    labels = out_of_fold.make_labeller(folds, whole)
    note = notes.of_folds(folds)
    return Asked(whole, lambda place: _mask_of(labels(place)), out_of_fold.SPLIT, note)


def _check_task(workdir: str, restored: Restored) -> None:
    task = restored.parts.task
    if not task.uses_masks:
        raise ValueError(
            f"{workdir} holds a model of {task.name}, which gives no masks to localise."
        )


def _of_example(
    source: sources.Source, place: int, predicted: np.ndarray, folder: pathlib.Path
) -> list[Row]:
    """A row of each lesion, true and predicted; the picture unless there is none."""
    image, truth = source.read_stored(place)
    plane = planes.choose_plane(
        image, (truth if truth.any() else predicted)[..., 0] > 0
    )
    image, truth, predicted = (
        image[plane],
        truth[plane][..., 0],
        predicted[plane][..., 0],
    )
    if not truth.any() and not predicted.any():
        return []
    measured = _ways(source, place, image)
    found = localise.lesions(predicted, **measured)
    stem = folder / source.keys[place].replace("/", "_")
    outlines.write(stem, image, predicted, found, truth)
    of_each = {"true": localise.lesions(truth, **measured), "predicted": found}
    where = {"plane": plane[0]} if plane else {}  # of a volume, counted from below
    return [
        {
            "key": source.keys[place],
            "patient": source.patients[place],
            "of": whose,
            **where,
            **localise.flat(lesion),
        }
        for whose, each in of_each.items()
        for lesion in each
    ]


def _ways(source: sources.Source, place: int, image: np.ndarray) -> dict[str, Any]:
    """How lesions are measured: of a volume in mm, and with the patient's own sides."""
    middle = localise.middle_of_head(image)
    if source.info.dimensions == 2:
        return {"middle": middle}
    spacing = source.spacings[place][1:]
    known = spacing if np.isfinite(spacing).all() else None
    return {"middle": middle, "sides": localise.OF_PATIENT, "spacing": known}


def _mask_of(labels: Any) -> np.ndarray:
    """Labels of the mask, of a net with two heads too."""
    return labels.mask if isinstance(labels, Heads) else labels
