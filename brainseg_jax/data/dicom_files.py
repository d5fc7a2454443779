"""Slices of DICOM files, and series of them as volumes; by pydicom, an optional extra."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from jaxtyping import Shaped

from brainseg_jax.data.dicom_names import is_dicom
from brainseg_jax.data.image_files import UnreadableImage

try:
    import pydicom
    from pydicom.pixels import apply_rescale
except ImportError:
    pydicom: Any = None  # type: ignore[no-redef]

APART = 0.01  # share of the usual distance by which slices may lie elsewhere
ALIKE = 1e-4  # by which directions of slices of one series may differ
# What pydicom was seen to raise over damaged or incomplete files.
DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, AttributeError, LookupError),
    *(NotImplementedError, RuntimeError, MemoryError),
)
NEEDS_EXTRA = (
    "{} is DICOM, which needs pydicom and highdicom: pip install 'brainseg_jax[dicom]' "
    "(of a clone: pip install --editable '.[dicom]')."
)


class Slice(NamedTuple):
    """One image with what its file says of it."""

    dataset: Any
    image: Shaped[np.ndarray, "h w"]  # in the scanner's numbers: rescaled

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Mm down and across."""
        found = self.dataset.get("PixelSpacing")
        return (float(found[0]), float(found[1])) if found else None

    @property
    def sides(self) -> tuple[str, str] | None:
        """The patient's sides at the left and right of the picture; None: not known."""
        found = self.dataset.get("ImageOrientationPatient")
        if not found or abs(found[0]) < max(abs(found[1]), abs(found[2])):
            return None
        return ("right", "left") if found[0] > 0 else ("left", "right")


def find_series(paths: Iterable[str | Path]) -> list[Path]:
    """Folders, and those below, that hold two slices or more; hidden ones left out."""
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            below = [path, *(one for one in sorted(path.rglob("*")) if one.is_dir())]
            found += [
                folder
                for folder in below
                if not any(p.startswith(".") for p in folder.relative_to(path).parts)
                and len(slices_of(folder)) > 1
            ]
    return list(dict.fromkeys(found))


def slices_of(folder: Path) -> list[Path]:
    """The DICOM files of a folder itself, by name."""
    return [one for one in sorted(folder.iterdir()) if is_dicom(one)]


def read(path: Path) -> Slice:
    """A single grey image.

    Raises:
        UnreadableImage: if it is no such file, or pydicom is not installed.
    """
    if pydicom is None:
        raise UnreadableImage(NEEDS_EXTRA.format(path))
    try:
        dataset = pydicom.dcmread(path)
        image = np.asarray(apply_rescale(dataset.pixel_array, dataset))
        kind = str(dataset.PhotometricInterpretation)
        del dataset.PixelData  # what is left is small
    except (*DAMAGED, pydicom.errors.InvalidDicomError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableImage(
            f"{path} cannot be read as a DICOM image ({reason}): it is cut short, damaged, "
            "compressed in a way that needs another library, or holds no picture."
        ) from error
    if image.ndim != 2 or kind != "MONOCHROME2":
        raise UnreadableImage(
            f"{path} holds {kind} of shape {image.shape}, not one grey slice. Export the "
            "series as one file for each slice."
        )
    whole = (image == np.rint(image)).all()
    return Slice(dataset, image.astype(np.int32) if whole else image)


def read_series(folder: Path) -> list[Slice]:
    """All slices of a folder, by their place along the axis across them.

    Raises:
        UnreadableImage: if they are not of one series, size and direction, or one lacks.
    """
    found = [read(path) for path in slices_of(folder)]
    if len({one.dataset.get("SeriesInstanceUID") for one in found}) > 1:
        raise UnreadableImage(
            f"{folder} holds slices of several series. Put each series into a folder of "
            "its own, named by its sequence, as <case>_flair."
        )
    for name in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
        if lacking := [one for one in found if not one.dataset.get(name)]:
            raise UnreadableImage(
                f"{folder}: {len(lacking)} slices say nothing of their {name}, so that "
                "they are no volume. Give the slices one by one, as files."
            )
    _check_alike(folder, found)
    found = sorted(found, key=_place)
    steps = np.diff([_place(one) for one in found])
    if (np.abs(steps - np.median(steps)) > APART * np.median(steps)).any():
        raise UnreadableImage(
            f"{folder}: its slices lie {steps.min():.3g} to {steps.max():.3g} mm apart, so "
            "that one lacks or is there twice. Copy the whole series again."
        )
    return found


def as_nifti(folder: Path) -> Any:
    """A series as a NIfTI image in memory, on the same place in the patient."""
    found = read_series(folder)
    voxels = np.stack([one.image.T for one in found], -1)
    first, last = found[0].dataset, found[-1].dataset
    across, down = np.reshape(np.array(first.ImageOrientationPatient, float), (2, 3))
    rows, columns = map(float, first.PixelSpacing)
    start, end = (np.array(one.ImagePositionPatient, float) for one in (first, last))
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * columns, down * rows
    affine[:3, 2] = (end - start) / (len(found) - 1)
    affine[:3, 3] = start
    affine = np.diag([-1, -1, 1, 1]) @ affine  # DICOM's x and y point the other way
    kind: type = np.float32
    if voxels.dtype.kind in "iu":
        limits = np.iinfo(np.int16)
        fits = limits.min <= voxels.min() and voxels.max() <= limits.max
        kind = np.int16 if fits else np.int32
    return nibabel.Nifti1Image(voxels.astype(kind), affine)


def _place(one: Slice) -> float:
    """Along the axis across slices, in mm."""
    direction = np.reshape(np.array(one.dataset.ImageOrientationPatient, float), (2, 3))
    return float(
        np.cross(*direction) @ np.array(one.dataset.ImagePositionPatient, float)
    )


def _check_alike(folder: Path, found: Sequence[Slice]) -> None:
    first = found[0]
    for one in found[1:]:
        turned = np.subtract(
            [float(x) for x in one.dataset.ImageOrientationPatient],
            [float(x) for x in first.dataset.ImageOrientationPatient],
        )
        if one.image.shape != first.image.shape or np.abs(turned).max() > ALIKE:
            raise UnreadableImage(
                f"{folder} has slices of {first.image.shape} and {one.image.shape} pixels, "
                "or of several directions, as localisers do. Put each stack of slices into "
                "a folder of its own."
            )
