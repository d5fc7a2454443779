"""A scan from its NIfTI files, turned to RAS+, and masks back in the files' own grid.

Arrays are [z, y, x, c]: from below upwards, from behind forwards, from left to right, as
near to it as turning axes by right angles gives; so prepared volumes are stored.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
from jaxtyping import Float64, Shaped, UInt8
from nibabel import orientations
from scipy import ndimage

from brainseg_jax import files
from brainseg_jax.data import dicom_files, modalities
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.info import ALIKE
from brainseg_jax.data.modalities import Case
from brainseg_jax.data.nifti_headers import DAMAGED, without_ones

AXES = {"axial": 0, "coronal": 1, "sagittal": 2}  # across slices, of [z, y, x]
APART = 1e-3  # mm by which the grids of one case's files may differ
OF_VOXEL = 0.1  # share of a voxel by which a mask may lie elsewhere than its scan


class Scan(NamedTuple):
    """All channels of a case, and the grid that they came on."""

    image: Shaped[np.ndarray, "z y x c"]
    spacing: tuple[float, ...]  # mm along z, y, x
    shape: tuple[int, ...]  # of the files
    affine: Float64[np.ndarray, "4 4"]
    header: Any
    missing: tuple[int, ...] = ()  # places of channels that have no file and are 0


def read(case: Case, channels: Sequence[str]) -> Scan:
    """All channels, in the order of `channels`, in the files' own numbers; 0 if missing.

    Raises:
        UnreadableImage: naming the file and what is wrong with it.
    """
    if case.fault:
        raise UnreadableImage(case.fault)
    opened = [_open(file) for file in case.files]
    first, axes = opened[0], len(without_ones(opened[0].shape))
    if len(opened) == 1 and axes == 4 and first.shape[3] == len(channels):
        voxels = [_voxels(first, case.files[0])]
    elif len(opened) + len(case.missing) == len(channels) and all(
        len(without_ones(one.shape)) == 3 for one in opened
    ):
        for file, one in zip(case.files, opened, strict=True):
            _check_grid(file, one, case.files[0], first)
        pairs = zip(opened, case.files, strict=True)
        voxels = [_voxels(one, file)[..., None] for one, file in pairs]
    else:
        shape = " x ".join(map(str, first.shape))
        raise UnreadableImage(
            f"{case.files[0]} has {shape} voxels; the model needs "
            f"{modalities.expected(channels)}."
        )
    turn = orientations.io_orientation(first.affine)
    missing = tuple(map(list(channels).index, case.missing))
    for place in sorted(missing):
        voxels.insert(place, np.zeros_like(voxels[0]))
    turned = orientations.apply_orientation(np.concatenate(voxels, -1), turn)
    spacing = nibabel.affines.voxel_sizes(first.affine)
    places = np.argsort(turn[:, 0])
    return Scan(
        image=np.ascontiguousarray(turned.transpose(2, 1, 0, 3)),
        spacing=tuple(spacing[places][::-1].tolist()),
        shape=first.shape[:3],
        affine=first.affine,
        header=first.header,
        missing=missing,
    )


def in_dtype(scan: Scan, dtype: str) -> Scan:
    """In the numbers that a model was trained on, where they hold all of the scan's.

    Normalisations may go by them: `unit` divides 8 bits by 255, others by their largest.
    """
    kind, image = np.dtype(dtype), scan.image
    if np.issubdtype(kind, np.integer):
        limits = np.iinfo(kind)
        whole = np.issubdtype(image.dtype, np.integer)
        if not whole or image.min() < limits.min or image.max() > limits.max:
            return scan
    return scan._replace(image=image.astype(kind))


def write_mask(path: Path, labels: UInt8[np.ndarray, "z y x"], scan: Scan) -> Path:
    """A mask on the files' own grid, with their affine and header, packed."""
    header = scan.header.copy()
    header.set_data_dtype(np.uint8)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    voxels = to_file_order(labels, scan)
    image = type_of(scan)(voxels, scan.affine, header)
    return files.write_atomically(path, gzip.compress(image.to_bytes(), mtime=0))


def read_mask(file: Path, scan: Scan) -> UInt8[np.ndarray, "z y x"]:
    """Labels of a mask file on the scan's turned grid, in whichever order it has its axes.

    Raises:
        UnreadableImage: if it is no mask of labels, or lies elsewhere than the scan.
    """
    opened = _open(file)
    voxels = _voxels(opened, file)
    if voxels.ndim != 3 or voxels.min() < 0 or voxels.max() > 255:
        raise UnreadableImage(
            f"{file} has {' x '.join(map(str, voxels.shape))} voxels of {voxels.min():.3g} "
            f"to {voxels.max():.3g}; a mask has 3 axes and labels from 0 to 255."
        )
    if (voxels != np.rint(voxels)).any():
        raise UnreadableImage(
            f"{file} has voxels between whole numbers, which are no labels: a mask that "
            "was resampled. Resample it by the nearest neighbour."
        )
    (own, place), (wanted, other) = (
        _turned_grid(affine, shape)
        for affine, shape in ((opened.affine, voxels.shape), (scan.affine, scan.shape))
    )
    if own != wanted:
        ours, theirs = (" x ".join(map(str, shape)) for shape in (own, wanted))
        raise UnreadableImage(
            f"The mask {file} has {ours} voxels from left to right, back to front and "
            f"below upwards, its scan {theirs}. Resample it to the scan's grid."
        )
    ends = np.array([[0, 0, 0, 1], [*own, 1]]).T
    apart = np.abs((place - other) @ ends).max()
    if apart > OF_VOXEL * min(scan.spacing):
        raise UnreadableImage(
            f"The mask {file} lies up to {apart:.3g} mm from its scan: their affines "
            "differ. Resample it to the scan's grid."
        )
    turn = orientations.io_orientation(opened.affine)
    turned = orientations.apply_orientation(voxels, turn).transpose(2, 1, 0)
    return np.ascontiguousarray(turned.astype(np.uint8))


def _turned_grid(
    affine: Float64[np.ndarray, "4 4"], shape: Sequence[int]
) -> tuple[tuple[int, ...], Float64[np.ndarray, "4 4"]]:
    """Shape [x, y, z] and affine of the same voxels once they are turned to RAS+."""
    turn = orientations.io_orientation(affine)
    lengths = np.array(shape)[np.argsort(turn[:, 0])]
    return tuple(lengths.tolist()), affine @ orientations.inv_ornt_aff(turn, shape)


def type_of(scan: Scan) -> Any:
    """NIfTI 1 or 2, as the scan is."""
    two = isinstance(scan.header, nibabel.Nifti2Header)
    return nibabel.Nifti2Image if two else nibabel.Nifti1Image


def to_file_order(
    array: Shaped[np.ndarray, "z y x"], scan: Scan
) -> Shaped[np.ndarray, "i j k"]:
    """An array on the scan's turned grid, as the files have it."""
    own = orientations.io_orientation(scan.affine)
    straight = orientations.axcodes2ornt("RAS")
    back = orientations.ornt_transform(straight, own)
    return orientations.apply_orientation(array.transpose(2, 1, 0), back)


def resized_shape(
    shape: Sequence[int], spacing: Sequence[float], wanted: Sequence[float]
) -> tuple[int, ...]:
    """Of a grid of another spacing over the same place; the same where they are alike."""
    return tuple(
        length if abs(own / other - 1) < ALIKE else max(1, round(length * own / other))
        for length, own, other in zip(shape, spacing, wanted, strict=True)
    )


def resize(
    image: Shaped[np.ndarray, "z y x c"], shape: Sequence[int]
) -> Shaped[np.ndarray, "z y x c"]:
    """Interpolated linearly at the middles of voxels; integers stay integers."""
    if image.shape[:3] == tuple(shape):
        return image
    scale = np.array(image.shape[:3]) / shape
    channels = [
        ndimage.affine_transform(
            image[..., channel].astype(np.float32),
            scale,
            offset=0.5 * scale - 0.5,
            output_shape=tuple(shape),
            order=1,
            mode="nearest",
        )
        for channel in range(image.shape[-1])
    ]
    found = np.stack(channels, -1)
    whole = np.issubdtype(image.dtype, np.integer)
    return np.rint(found).astype(image.dtype) if whole else found


def slices(
    array: Shaped[np.ndarray, "z y x *c"], axis: str
) -> Shaped[np.ndarray, "n h w *c"]:
    """As they are looked at: the nose or the crown up, the patient's right to the left.

    Of sagittal ones the nose to the left.
    """
    return np.moveaxis(array, AXES[axis], 0)[:, ::-1, ::-1]


def from_slices(
    array: Shaped[np.ndarray, "n h w *c"], axis: str
) -> Shaped[np.ndarray, "z y x *c"]:
    """The array whose slices these are."""
    return np.moveaxis(array[:, ::-1, ::-1], 0, AXES[axis])


def _open(file: Path) -> Any:
    if file.is_dir():
        return dicom_files.as_nifti(file)
    try:
        image: Any = nibabel.load(file)
        if not isinstance(image, nibabel.Nifti1Pair | nibabel.Nifti2Pair):
            raise ValueError("it is of another format")
    except DAMAGED as error:
        raise _unreadable(file, error) from error
    affine = image.affine
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-6:
        raise UnreadableImage(
            f"{file} has an affine that places no voxel: two axes point one way, or "
            "numbers are none. Mend its header, or convert the scan again."
        )
    return image


def _voxels(image: Any, file: Path) -> Shaped[np.ndarray, "i j k ..."]:
    """The numbers; whole ones of few bits as such."""
    try:
        voxels = np.asanyarray(image.dataobj).reshape(without_ones(image.shape))
    except DAMAGED as error:
        raise _unreadable(file, error) from error
    if voxels.dtype.kind not in "iuf":
        raise UnreadableImage(
            f"{file} holds {voxels.dtype}, not one number for each voxel."
        )
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise UnreadableImage(
            f"{file} has voxels that are no numbers (NaN or infinite). Convert the scan "
            "again, or replace them by 0."
        )
    if voxels.dtype == np.uint8:
        return voxels
    limits = np.iinfo(np.int16)
    fits = limits.min <= voxels.min() and voxels.max() <= limits.max
    whole = voxels.dtype.kind != "f" or (voxels == np.rint(voxels)).all()
    return voxels.astype(np.int16 if fits and whole else np.float32)


def _check_grid(file: Path, one: Any, reference: Path, first: Any) -> None:
    """Raises UnreadableImage for a file whose voxels lie elsewhere than the first's."""
    own, other = (without_ones(image.shape) for image in (one, first))
    ours, theirs = (" x ".join(map(str, shape)) for shape in (own, other))
    if own != other:
        raise UnreadableImage(
            f"{file} has {ours} voxels, but {reference.name} {theirs}. All sequences of a "
            "case have to lie on one grid: register and resample them first."
        )
    ends = np.array([[0, 0, 0, 1], [*own, 1]]).T
    apart = np.abs((one.affine - first.affine) @ ends).max()
    if apart > APART:
        raise UnreadableImage(
            f"{file} lies up to {apart:.3g} mm from where {reference.name} does: their "
            "affines differ. Register and resample the sequences of a case first."
        )


def _unreadable(file: Path, error: Exception) -> UnreadableImage:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UnreadableImage(
        f"{file} cannot be read as NIfTI ({reason}): it is cut short, damaged or of "
        "another format. Fetch or convert it again."
    )
