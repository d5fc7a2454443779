"""Slices that a model is asked about: picture files, or a split of prepared data."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from brainseg_jax.data import image_files, modalities
from brainseg_jax.data.sources import Source
from brainseg_jax.runs import ensembles, pictures, precision, restore
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored


class Query(NamedTuple):
    """A stored slice, and what is known of it."""

    name: str  # of what is written of it
    said: str  # its file, or its key in the data set
    patient: str  # of a file the volume that it was normalised with
    image: np.ndarray
    seen: np.ndarray  # as the model sees it, with the slices next to it
    scaling: np.ndarray  # [4, d]
    truth: np.ndarray | None = None  # stored mask [h, w, 1]
    label: str = ""  # its class, where the data set tells it


def restore_one(workdir: str, mode: str) -> Restored:
    """The best model of a run that sees whole slices, with its precision set.

    Raises:
        NoCheckpoint: if the folder holds none.
        ValueError: if it has no vector or map for a whole picture.
    """
    if ensembles.said(workdir):
        raise ValueError(
            f"--mode={mode} looks into one model; give a single --workdir, not {workdir}."
        )
    restored = restore.restore(workdir)
    about = restored.record.about
    check_kind(workdir, about, mode)
    precision.set_precision(about.config)
    return restored


def sees_whole_slices(about: About) -> bool:
    return about.info.dimensions == 2 and not about.config["evaluation"]["window"]


def check_kind(workdir: str, about: About, mode: str) -> None:
    """Refuses what has no vector or map for a whole picture.

    Raises:
        ValueError: if the model is of volumes, or sees parts of slices.
    """
    if sees_whole_slices(about):
        return
    kind = "a model that sees slices in windows (config.evaluation.window)"
    if about.info.dimensions != 2:
        kind = "a model of volumes"
    raise ValueError(
        f"{workdir} holds {kind}; --mode={mode} is for models of whole slices. Give the "
        "--workdir of one."
    )


def find_pictures(inputs: Sequence[str]) -> list[pathlib.Path]:
    """Picture files, of folders those below them.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if there are scans among them.
    """
    if scans := modalities.find_volumes(inputs):
        raise ValueError(
            f"{scans[0]} is a scan, of which single slices are looked into alone. Export "
            "them as pictures, or give a folder without scans."
        )
    return image_files.find_images(inputs)


def of_files(
    about: About, found: Sequence[pathlib.Path], failed: dict[str, str]
) -> Iterator[Query]:
    """Slices of one patient are normalised together, where the model was trained so.

    What cannot be read goes to `failed`, with the reason.

    Raises:
        ValueError: if two files would be written under one name.
    """
    names = pictures.output_names(found)

    def tell(path: pathlib.Path, reason: str) -> None:
        failed[str(path)] = reason

    for volume, paths in image_files.group_volumes(found).items():
        for example in pictures.of_volume(volume, paths, about, tell, asked=paths):
            path, picture = example.path, example.picture
            shown = picture.image, example.seen, example.scaling
            yield Query(names[path], str(path), volume, *shown)


def of_split(source: Source) -> Iterator[Query]:
    """In the split's order, with truth and class."""
    return (at_place(source, place) for place in range(len(source)))


def at_place(source: Source, place: int) -> Query:
    """One slice of a split."""
    image, mask = source.read_stored(place)
    seen, _ = source.seen(place)
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
