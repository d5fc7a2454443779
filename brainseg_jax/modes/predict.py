"""Masks and overlays, classes, or both, of image files, by the best checkpoint of a run."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from jaxtyping import Shaped
from rich.progress import track

from brainseg_jax import files
from brainseg_jax.data import image_files, modalities, normalise, pixels
from brainseg_jax.data.info import Info
from brainseg_jax.metrics import decisions
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.runs import ensembles, precision, restore, run_folder, volumes
from brainseg_jax.runs.predictor import Predictor, make_predictor
from brainseg_jax.tasks.parts.task import Task

COLOUR = (0, 255, 0)


def run(request: Any) -> None:
    """--mode=predict: by the checkpoint's own config; --config only names the workdir."""
    request.refuse_overrides()
    flags = request.flags
    predict(request.workdir, flags.inputs, flags.outputs, flags.axis)


def predict(
    workdir: str, inputs: Sequence[str], outputs: str, axis: str = "axial"
) -> list[dict[str, Any]]:
    """Predicts every image below `inputs`; gives the rows of `predictions.csv`.

    Where there are NIfTI files, it is scans that are predicted (runs/volumes.py), and
    pictures among them are left out. `axis` is that along which a model of slices sees
    them, one of scans.AXES.

    Each mask has its image's own size and the publisher's label values; of a classifier
    there are the rows alone, of a net with two heads both. Intensities are normalised over
    a whole volume (patient or folder) where the model was trained so.

    Raises:
        ValueError: if `inputs` or `outputs` is empty, if `outputs` is a file or lies in the
            inputs, if two inputs would be written under one name, or if the checkpoint is
            damaged or too old.
        UnreadableImage: if an image cannot be decoded or is not of the model's kind.
        FileNotFoundError: if there are no images, or no checkpoint in `workdir`.
        OSError: if `outputs` cannot be written.
    """
    if not inputs or not outputs:
        raise ValueError(
            "--mode=predict needs --inputs=<files or folders> and --outputs=."
        )
    folder = pathlib.Path(outputs).resolve()
    if any(folder.is_relative_to(pathlib.Path(path).resolve()) for path in inputs):
        raise ValueError(
            f"--outputs={outputs} lies in the inputs: its overlays would be read as "
            "images the next time. Write to a folder outside of the inputs."
        )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--outputs={outputs} is a file; name a folder.")
    run_folder.check_writable(folder, "--outputs")
    scanned = modalities.find_volumes(inputs)
    found = [] if scanned else image_files.find_images(inputs)
    restored = ensembles.restore_all(workdir)
    precision.set_precision(restored.record.about.config)
    if scanned:
        rules = ensembles.rules_of(workdir, restored)
        _tell_pictures(inputs)
        rows = volumes.predict(restored, scanned, folder, axis, rules)
        logging.info("%d scans predicted in %s. Not for diagnosis.", len(rows), folder)
    else:
        rows = _predict_pictures(restored, workdir, found, folder)
    files.write_csv(folder / "predictions.csv", rows)
    if note := restored.record.about.note:
        logging.warning("The model was trained on: %s.", note)
    return rows


def _tell_pictures(inputs: Sequence[str]) -> None:
    """Warns of pictures that lie among NIfTI scans, which alone are predicted."""
    others = [path for path in inputs if not path.lower().endswith(modalities.ENDINGS)]
    try:
        found = image_files.find_images(others)
    except FileNotFoundError:  # none
        return
    logging.warning(
        "Left out %d pictures among the NIfTI scans; give them a folder of their own.",
        len(found),
    )


def _predict_pictures(
    restored: restore.Restored,
    workdir: str,
    found: Sequence[pathlib.Path],
    outputs: pathlib.Path,
) -> list[dict[str, Any]]:
    if (axes := restored.record.about.info.dimensions) != 2:
        raise ValueError(
            f"{workdir} holds a model of volumes with {axes} axes, and the inputs are "
            "pictures of 2. Give it NIfTI files (.nii.gz)."
        )
    by_volume = image_files.group_volumes(found)
    names = _output_names(found)
    info = restored.record.about.info
    for path in found:  # before the first mask is written
        _read(path, info)
    predictor = make_predictor(restored)
    rows = []
    with_progress = track(by_volume.items(), "predicting", transient=True)
    for volume, paths in with_progress:
        rows += _predict_volume(restored, predictor, volume, paths, names, outputs)
    logging.info("%d images predicted in %s. Not for diagnosis.", len(rows), outputs)
    return rows


def _predict_volume(
    restored: restore.Restored,
    predictor: Predictor,
    volume: str,
    paths: Sequence[pathlib.Path],
    names: dict[pathlib.Path, str],
    outputs: pathlib.Path,
) -> list[dict[str, Any]]:
    about = restored.record.about
    options, info = about.config["data"]["normalisation"], about.info
    pictures = [_read(path, info) for path in paths]
    scaling = normalise.scaling(
        normalise.statistics(pictures, [volume] * len(paths)), **options
    )
    by_volume = options["name"].startswith("volume")
    lone = by_volume and len(paths) == 1
    if by_volume and not lone:
        _tell_volume(volume, paths)
    if lone:
        logging.warning(
            "%s: a lone slice, normalised by its own intensities; give all slices of "
            "the patient for better predictions, named <patient>_<number> or in a folder "
            "of their own.",
            paths[0],
        )
    if all((picture == picture[0, 0]).all() for picture in pictures):
        logging.warning("%s is of one colour: its prediction means nothing.", volume)
    rows = []
    for path, picture, numbers in zip(paths, pictures, scaling, strict=True):
        probs = predictor(picture, numbers)
        write = WRITERS[restored.parts.task.name]
        rows.append(
            {
                "file": str(path),
                "volume": volume,
                **write(restored.parts.task, probs, picture, outputs / names[path]),
                "normalised_by": "lone slice" if lone else f"{len(paths)} slices",
                "note": restored.record.about.note,
            }
        )
    return rows


def _read(path: pathlib.Path, info: Info) -> Shaped[np.ndarray, "h w c"]:
    """The channels that the model takes, of a picture that has those of its data set."""
    picture = image_files.read_image(path, len(info.all_channels), info.dtype)
    return pixels.choose_channels(picture, info.chosen_places)


def _tell_volume(volume: str, paths: Sequence[pathlib.Path]) -> None:
    """Warns of files that may be of several patients, by names like P001 and P002."""
    logging.info("%s: %d slices, normalised as one volume.", volume, len(paths))
    folder = paths[0].absolute().parent.name
    if not all(path.stem.startswith(folder) for path in paths):
        logging.warning(
            "%s: %d images are taken for the slices of one patient. If they are of "
            "several, put each patient's into a folder of their own.",
            volume,
            len(paths),
        )


def _write_mask(
    task: Task,
    probs: jax.Array,
    picture: Shaped[np.ndarray, "h w c"],
    stem: pathlib.Path,
) -> dict[str, Any]:
    mask = np.asarray(task.predict(probs))[0, ..., 0]
    image_files.write_mask(stem.with_name(f"{stem.name}_mask.png"), mask)
    painted = image_files.overlay(
        image_files.display(image_files.as_8_bits(picture)),
        mask > 0,
        COLOUR,
        opacity=0.4,
    )
    image_files.write_png(stem.with_name(f"{stem.name}_overlay.png"), painted)
    return {
        "mask": f"{stem.name}_mask.png",
        "pixels": int((mask > 0).sum()),
        "share": round(float((mask > 0).mean()), 6),
    }


def _write_class(
    task: Task,
    probs: jax.Array,
    picture: Shaped[np.ndarray, "h w c"],
    stem: pathlib.Path,
) -> dict[str, Any]:
    """Nothing but the row."""
    found = int(task.predict(probs)[0])
    columns = decisions.probability_columns(task.classes, np.asarray(probs)[0])
    return {"class": task.classes[found], **columns}


def _write_both(
    task: Task,
    probs: Heads,
    picture: Shaped[np.ndarray, "h w c"],
    stem: pathlib.Path,
) -> dict[str, Any]:
    """The mask's files, and a row of both heads."""
    assert task.heads is not None
    return {
        **_write_class(task.heads.label, probs.label, picture, stem),
        **_write_mask(task.heads.mask, probs.mask, picture, stem),
    }


WRITERS: dict[str, Callable[..., dict[str, Any]]] = {
    "segmentation": _write_mask,
    "classification": _write_class,
    "segmentation_and_classification": _write_both,
}


def _output_names(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """A name per file: its stem, with its folder's name before it where stems repeat."""
    stems = [path.stem for path in paths]
    names = {
        path: path.stem
        if stems.count(path.stem) == 1
        else "_".join([*path.parent.parts[-2:], path.stem]).replace("/", "")
        for path in paths
    }
    if len(set(names.values())) < len(paths):
        raise ValueError(
            "Two inputs would be written under the same name; predict their folders "
            "one at a time."
        )
    return names
