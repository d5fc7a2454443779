"""Masks of scans in NIfTI files, each on its files' own grid, by the best model of a run.

A model of volumes sees a scan at the spacing it was trained at, cropped to what is not 0,
as prepared volumes are. A model of slices sees it slice by slice.
"""

import collections
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import Shaped, UInt8
from ml_collections import ConfigDict
from rich.progress import track

from brainseg_jax.data import modalities, normalise, scan_pictures, scans
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.modalities import Case
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference import post_processing
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.inference.windows import Windows
from brainseg_jax.runs import experiment
from brainseg_jax.runs.predictor import make_labeller, make_volume_labeller
from brainseg_jax.runs.restore import Restored

Label = Callable[[Scan], UInt8[np.ndarray, "z y x"]]


def predict(
    restored: Restored,
    found: Sequence[pathlib.Path],
    outputs: pathlib.Path,
    axis: str,
    rules: Rules | None = None,
) -> list[dict[str, Any]]:
    """Writes a mask and a picture of every case; gives the rows of `predictions.csv`.

    `rules` mend the masks of a model of volumes, on the grid that it was trained on.

    Raises:
        UnreadableImage: before the first mask is written, if a case cannot be read.
        ValueError: if the model gives no masks.
    """
    about, task = restored.record.about, restored.parts.task
    if task.name != "segmentation":
        raise ValueError(
            f"The model is one of {task.name}; only models of masks alone "
            "(segmentation) predict NIfTI volumes."
        )
    channels = about.info.channels
    cases = modalities.group_cases(
        found,
        channels,
        about.info.all_channels,
        may_lack=about.settings.augment.channel_dropout > 0,
    )
    _tell_missing(cases)
    names = _output_names(cases)
    for case in track(cases, "reading", transient=True):
        scans.read(case, channels)
    label = make_label(restored, axis, rules or Rules())
    rows = []
    for case, name in zip(
        track(cases, "predicting", transient=True), names, strict=True
    ):
        scan = scans.in_dtype(scans.read(case, channels), about.info.dtype)
        labels = label(scan)
        scans.write_mask(outputs / f"{name}_mask.nii.gz", labels, scan)
        scan_pictures.write_planes(outputs / f"{name}_overlay.png", scan, labels)
        rows.append(
            {
                "file": ";".join(map(str, case.files)),
                "volume": str(case.name),
                "mask": f"{name}_mask.nii.gz",
                **sizes(labels, scan.spacing, about.info.members),
                "missing": ";".join(case.missing),
                "post_processed": bool(rules),
                "note": about.note,
            }
        )
    return rows


def make_label(restored: Restored, axis: str, rules: Rules) -> Label:
    """The publisher's labels of a scan, on its own grid."""
    about = restored.record.about
    options = about.config["data"]["normalisation"]
    if about.info.dimensions == 2:
        return _of_slices(make_labeller(restored), options, axis)
    windows = experiment.windows_of(about.settings) or _training_windows(about.settings)
    spacing = about.info.spacing
    label = make_volume_labeller(restored, windows)

    def mended(image: np.ndarray, scaling: np.ndarray) -> np.ndarray:
        return post_processing.apply(label(image, scaling), rules)

    return _of_volumes(mended, options, spacing)


def sizes(
    labels: UInt8[np.ndarray, "z y x"],
    spacing: Sequence[float],
    members: Sequence[Sequence[int]],
) -> dict[str, Any]:
    """Voxels and millilitres of all that is marked, and of each label."""
    counts = np.bincount(labels.reshape(-1), minlength=256)
    millilitres = float(np.prod(spacing)) / 1000
    known = sorted({label for of_class in members for label in of_class})
    return {
        "voxels": int(counts[1:].sum()),
        "ml": round(int(counts[1:].sum()) * millilitres, 3),
        **{
            f"ml_label_{one}": round(int(counts[one]) * millilitres, 3) for one in known
        },
    }


def _of_volumes(
    label: Callable[[np.ndarray, np.ndarray], np.ndarray],
    options: dict[str, Any],
    spacing: Sequence[float],
) -> Label:
    def of_scan(scan: Scan) -> np.ndarray:
        shape = scan.image.shape[:3]
        wanted = spacing or scan.spacing
        size = scans.resized_shape(shape, scan.spacing, wanted)
        image = scans.resize(scan.image, size)
        box = _foreground_box(image)
        labels = np.zeros(size, np.uint8)
        cropped = image[box]
        numbers = _scaling([cropped], options, scan.missing)[0]
        labels[box] = label(cropped, numbers)[..., 0]
        return scans.resize_labels(labels, shape)

    return of_scan


def _of_slices(
    label: Callable[[np.ndarray, np.ndarray], np.ndarray],
    options: dict[str, Any],
    axis: str,
) -> Label:
    def of_scan(scan: Scan) -> np.ndarray:
        shape = scan.image.shape[:3]
        across, size = scans.AXES[axis], _square(scan, axis)
        slices = scans.slices(scans.resize(scan.image, size), axis)
        found = np.zeros((*slices.shape[:3], 1), np.uint8)
        pictures = [np.ascontiguousarray(one) for one in slices]
        for place, numbers in enumerate(_scaling(pictures, options, scan.missing)):
            found[place] = label(pictures[place], numbers)
        assert len(found) == shape[across]
        return scans.resize_labels(scans.from_slices(found[..., 0], axis), shape)

    return of_scan


def _square(scan: Scan, axis: str) -> tuple[int, ...]:
    """The shape in which the pixels of all slices are squares, as small as any side."""
    across = scans.AXES[axis]
    within = [mm for place, mm in enumerate(scan.spacing) if place != across]
    wanted = [min(within)] * 3
    wanted[across] = scan.spacing[across]
    return scans.resized_shape(scan.image.shape[:3], scan.spacing, wanted)


def _scaling(
    images: Sequence[Shaped[np.ndarray, "*space c"]],
    options: dict[str, Any],
    missing: Sequence[int],
) -> np.ndarray:
    """Of images of one scan, normalised together; missing channels are 0 after it.

    As training drops channels: of the normalised image.
    """
    there = [k for k in range(images[0].shape[-1]) if k not in missing]
    known = normalise.statistics(images, ["scan"] * len(images)).of_channels(there)
    numbers = np.zeros((len(images), 4, images[0].shape[-1]), np.float32)
    numbers[:, 3] = 1
    numbers[..., there] = normalise.scaling(known, **options)
    return numbers


def _tell_missing(cases: Sequence[Case]) -> None:
    for case in cases:
        if case.missing:
            logging.warning(
                "%s has no file for %s: given to the model as 0, as some were in training.",
                case.name,
                ", ".join(case.missing),
            )


def _foreground_box(image: Shaped[np.ndarray, "z y x c"]) -> tuple[slice, ...]:
    """The smallest box that holds all voxels that are not 0; all of an empty image."""
    marked = image.any(axis=-1)
    if not marked.any():
        return tuple(slice(0, length) for length in marked.shape)
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(np.any(marked, axis=others))
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def _training_windows(config: ConfigDict) -> Windows:
    """Of a run that scores whole volumes: what it was trained on is what it can see."""
    return Windows(
        tuple(config.data.patch or config.data.size), 0.5, 1, config.augment.fill
    )


def _output_names(cases: Sequence[Case]) -> list[str]:
    """A name per case, with its folder's before it where names repeat."""
    count = collections.Counter(case.name for case in cases)
    names = [
        case.name
        if count[case.name] == 1
        else f"{case.files[0].absolute().parent.name}_{case.name}"
        for case in cases
    ]
    if len(set(names)) < len(names):
        raise UnreadableImage(
            "Two cases would be written under the same name; predict their folders one "
            "at a time."
        )
    return names
