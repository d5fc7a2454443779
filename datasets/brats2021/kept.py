"""What checking a case found, a file each: a stopped preparation goes on from there.

A file is of use as long as all of a case's raw files have the same names and bytes.
"""

import hashlib
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from datasets import index, raw
from datasets.brats2021.raw_files import Files
from datasets.brats2021.releases import Case

FORM = "1"  # to be changed with what is checked, or how it is counted
DAMAGED = (OSError, EOFError, ValueError, LookupError, zipfile.BadZipFile)


class Known(NamedTuple):
    """What is kept of a case once its voxels are forgotten."""

    patient: str
    voxels: dict[int, int]  # by label, of those that there are


class Checked(NamedTuple):
    """A good case: its place in the index, and a digest of its voxels."""

    tallied: index.Index
    known: Known
    digest: bytes


def checked_once(
    folder: pathlib.Path,
    files: Files,
    case: Case,
    patient: str,
    check: Callable[[], Checked],
) -> Checked:
    """What an earlier start found of the case, or else what check() finds.

    Raises:
        raw.Fault: if a file cannot be read, or check() raises it.
    """
    stamp = _stamp(files, case, patient)
    path = folder / f"{case.key}.npz"
    if (found := _read(path, stamp, case)) is None:
        found = check()
        _write(path, stamp, case, found)
    return found


def _stamp(files: Files, case: Case, patient: str) -> str:
    """Of the names and bytes of a case's raw files, and whose it is."""
    digest = hashlib.blake2b(f"{FORM} {patient} {case}".encode(), digest_size=16)
    for name in case.files.values():
        digest.update(raw.of(name, files.read, name))
    return digest.hexdigest()


def _read(path: pathlib.Path, stamp: str, case: Case) -> Checked | None:
    """None where nothing is kept, or nothing of these files, or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            found = {name: stored[name] for name in stored.files}
        return _unpack(found, case.key) if str(found["stamp"]) == stamp else None
    except DAMAGED:
        return None


def _write(path: pathlib.Path, stamp: str, case: Case, one: Checked) -> None:
    """Whole or not at all, whenever the process is killed."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".part")
    arrays: Any = {"stamp": np.array(stamp), **_pack(one, case.key)}
    with partial.open("wb") as file:
        np.savez(file, **arrays)
    partial.replace(path)


def _pack(one: Checked, key: str) -> dict[str, Any]:
    example, volume = one.tallied.examples[key], one.tallied.volumes[key]
    return {
        "dtype": np.array(str(one.tallied.dtype)),
        "patient": np.array(example.patient),
        "shape": np.array(example.shape),
        "mean": example.mean,
        "variance": example.variance,
        "places": example.places,
        "place_labels": example.place_labels,
        "values": np.concatenate([values for values, _ in volume.tallies]),
        "counts": np.concatenate([counts for _, counts in volume.tallies]),
        "value_counts": np.array([len(values) for values, _ in volume.tallies]),
        "spacing": volume.spacing,
        "affine": volume.affine,
        "labels": np.array(list(one.known.voxels), int),
        "voxels": np.array(list(one.known.voxels.values()), int),
        "digest": np.frombuffer(one.digest, np.uint8),
    }


def _unpack(found: dict[str, np.ndarray], key: str) -> Checked:
    patient, places = str(found["patient"]), found["places"]
    ends = found["value_counts"].cumsum()[:-1]
    values, counts = (np.split(found[name], ends) for name in ("values", "counts"))
    tallied = index.Index()
    tallied.dtype = np.dtype(str(found["dtype"]))
    tallied.examples[key] = index.Example(
        patient=patient,
        volume=key,
        slice=0,
        label=int(len(places) > 0),
        shape=tuple(found["shape"].tolist()),
        mean=found["mean"],
        variance=found["variance"],
        places=places,
        place_labels=found["place_labels"],
    )
    tallies = list(zip(values, counts, strict=True))
    tallied.volumes[key] = index.Volume(tallies, found["spacing"], found["affine"])
    labels, voxels = (found[name].tolist() for name in ("labels", "voxels"))
    known = Known(patient, dict(zip(labels, voxels, strict=True)))
    return Checked(tallied, known, found["digest"].tobytes())
