"""Examples that a model is asked about: files, or a split of prepared data."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from brainseg_jax.data import dicom_files, image_files, modalities
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.sources import Source
from brainseg_jax.runs import ensembles, pictures, precision, seen_scans, volumes
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored


class Query(NamedTuple):
    """A stored slice or volume, and what is known of it."""

    name: str  # of what is written of it
    said: str  # its file or files, or its key in the data set
    patient: str  # of a file the volume that it was normalised with
    image: np.ndarray  # [*space, c]; of a scan at the voxels of training
    seen: np.ndarray  # as the model sees it, of a slice with those next to it
    scaling: np.ndarray  # [4, d]
    truth: np.ndarray | None = None  # stored mask [*space, 1]
    label: str = ""  # its class, where the data set tells it


class Asked(NamedTuple):
    """Files that a model is asked about, as they are read; and those that cannot be."""

    queries: Iterator[Query]
    total: int
    failed: dict[str, str]  # with the reason, once they were come to


def restore(workdir: str) -> Restored:
    """The best model of a run, or of several as one, with its precision set.

    Raises:
        NoCheckpoint: if a folder holds none.
        ValueError: if runs differ in what an image or a class is.
    """
    restored = ensembles.restore_all(workdir)
    precision.set_precision(restored.record.about.config)
    return restored


def of_inputs(about: About, inputs: Sequence[str]) -> Asked:
    """Pictures for a model of slices, scans for one of volumes; below folders, too.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if there are files of the other kind, or two of one name.
    """
    failed: dict[str, str] = {}
    if about.info.dimensions == 2:
        found = _find_pictures(inputs)
        names: Any = pictures.output_names(found)
        return Asked(_of_pictures(about, found, names, failed), len(found), failed)
    cases = seen_scans.cases_of(_find_scans(inputs), about)
    names = volumes.output_names(cases)
    return Asked(_of_scans(about, cases, names, failed), len(cases), failed)


def _find_pictures(inputs: Sequence[str]) -> list[pathlib.Path]:
    if scans := modalities.find_volumes(inputs):
        raise ValueError(
            f"{scans[0]} is a scan, of which a model of slices looks into single ones "
            "alone. Export them as pictures, or give a folder without scans."
        )
    return image_files.find_images(inputs)


def _find_scans(inputs: Sequence[str]) -> list[pathlib.Path]:
    found = [*modalities.find_volumes(inputs), *dicom_files.find_series(inputs)]
    if not found:
        raise FileNotFoundError(
            f"There is no scan in {', '.join(inputs)}. The model is one of volumes: give "
            "it NIfTI files (.nii.gz) or folders of DICOM series."
        )
    return found


def _of_pictures(
    about: About,
    found: Sequence[pathlib.Path],
    names: dict[pathlib.Path, str],
    failed: dict[str, str],
) -> Iterator[Query]:
    """Slices of one patient are normalised together, where the model was trained so."""

    def tell(path: pathlib.Path, reason: str) -> None:
        failed[str(path)] = reason

    for volume, paths in image_files.group_volumes(found).items():
        for example in pictures.of_volume(volume, paths, about, tell, asked=paths):
            path, picture = example.path, example.picture
            shown = picture.image, example.seen, example.scaling
            yield Query(names[path], str(path), volume, *shown)


def _of_scans(
    about: About,
    cases: Sequence[modalities.Case],
    names: Sequence[str],
    failed: dict[str, str],
) -> Iterator[Query]:
    """At the voxels of training, cropped as prepared volumes are."""
    options = about.config["data"]["normalisation"]
    for case, name in zip(cases, names, strict=True):
        said = ";".join(map(str, case.files))
        try:
            scan = seen_scans.read(case, about)
        except UnreadableImage as error:
            logging.warning("Left out: %s", error)
            failed[said] = str(error)
            continue
        seen = seen_scans.as_volume(scan, about.info.spacing, options)
        yield Query(name, said, case.name, seen.image, seen.image, seen.scaling)


def of_split(source: Source) -> Iterator[Query]:
    """In the split's order, with truth and class."""
    return (at_place(source, place) for place in range(len(source)))


def at_place(source: Source, place: int) -> Query:
    """One example of a split."""
    image, mask = source.read_stored(place)
    seen = image if source.together is None else source.seen(place)[0]
    return Query(
        source.keys[place].replace("/", "_"),
        source.keys[place],
        source.patients[place],
        image,
        seen,
        source.scaling[place],
        mask,
        source.info.labels[source.labels[place]],
    )
