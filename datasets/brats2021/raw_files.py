"""The publisher's files: where they lie, and reading a case with its checks."""

import hashlib
import pathlib
import zipfile
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Int16, UInt8

from datasets import archives, grids, nifti, raw, tars
from datasets.brats2021.releases import CHANNELS, MASK, Case, Release

PUBLISHED_SHAPE = (155, 240, 240)  # z, y, x of every published case


class Files(Protocol):
    """Raw files by their names, of a folder, a zip or a tar."""

    path: pathlib.Path
    names: list[str]

    def read(self, name: str) -> bytes: ...


class Content(NamedTuple):
    """What a case holds: cropped to where it is not 0, and where that lies."""

    image: Int16[np.ndarray, "z y x 4"]
    mask: UInt8[np.ndarray, "z y x"]  # labels as published
    place: grids.Place

    def digest(self) -> bytes:
        """Equal for cases of the same voxels alone, whatever they are called."""
        kind = str(self.image.shape).encode()
        found = hashlib.blake2b(kind, digest_size=16)
        found.update(self.image.data)
        return found.digest()


def open_brats(path: pathlib.Path) -> Files:
    """The folder of cases, one around it, a zip of it, or the tar as Kaggle has it.

    Raises:
        BadFile: for an archive that is damaged, and a folder that may not be read.
    """
    if tars.is_tar(path):
        return tars.Tar(path)
    if path.is_file() and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            packed = [name for name in archive.namelist() if name.endswith(".tar")]
        if packed:  # as Kaggle sends it
            raise raw.BadFile(
                f"{path} holds {max(packed, key=len)}: unpack the zip, and pass that as "
                "--config.data.raw_dir."
            )
    return archives.Files(path)


def read_case(
    files: Files,
    case: Case,
    release: Release,
    full_shape: tuple[int, ...] | None = PUBLISHED_SHAPE,
) -> Content:
    """All four sequences and the mask; raw.Fault says what is wrong with which file.

    Args:
        full_shape: that every case has, as z, y, x; None: any.
    """
    scans = {
        part: raw.of(case.files[part], _read, files, case.files[part])
        for part in release.endings
    }
    first = CHANNELS[0]
    for part, scan in scans.items():
        if differs := nifti.difference(scan, scans[first], case.files[first]):
            raise raw.Fault(case.files[part], differs)
    image = [raw.of(case.files[name], _image, scans[name]) for name in CHANNELS]
    mask = raw.of(case.files[MASK], _mask, scans[MASK], release)
    _require_different(case, image)
    turned = [grids.to_stored(one, scans[first].affine) for one in (*image, mask)]
    place = turned[0][1]
    if full_shape and place.full_shape != full_shape:
        ours, theirs = nifti.shown(place.full_shape), nifti.shown(full_shape)
        reason = (
            f"has {ours} voxels along z, y and x, where all published cases have {theirs}: "
            "its axes are in another order than its affine says, or it was changed"
        )
        raise raw.Fault(case.files[first], reason)
    box = grids.foreground_box(*(one for one, _ in turned))
    parts = [one[box] for one, _ in turned]
    return Content(
        image=np.stack(parts[:-1], axis=-1),
        mask=np.ascontiguousarray(parts[-1]),
        place=place._replace(offset=tuple(one.start for one in box)),
    )


def _read(files: Files, name: str) -> nifti.Scan:
    return nifti.read(files.read(name))


def _image(scan: nifti.Scan) -> Int16[np.ndarray, "i j k"]:
    voxels = nifti.whole_numbers(scan.voxels, np.int16)
    if not voxels.any():
        raise ValueError("is empty: all of its voxels are 0")
    if voxels.min() == 0 and voxels.max() <= 4:
        raise ValueError("holds labels and no image: were files renamed?")
    return voxels


def _mask(scan: nifti.Scan, release: Release) -> UInt8[np.ndarray, "i j k"]:
    voxels = nifti.whole_numbers(scan.voxels, np.int16)
    known = release.labels
    found = set(np.unique(voxels).tolist())
    if len(found) > 16:
        raise ValueError(f"has {len(found):,} values: it is an image, not a mask")
    if unknown := sorted(found - {*known}):
        listed = ", ".join(map(str, known))
        raise ValueError(
            f"has the label {unknown[0]}, where {release.name} has {listed} alone"
        )
    return voxels.astype(np.uint8)


def _require_different(case: Case, images: list[np.ndarray]) -> None:
    """Two sequences are never equal, unless one was copied under the other's name."""
    for later, name in enumerate(CHANNELS):
        for before in range(later):
            if np.array_equal(images[later], images[before]):
                other = case.files[CHANNELS[before]]
                raise raw.Fault(case.files[name], f"has the same voxels as {other}")
