"""Writes slices as the figshare brain tumour set has them: MATLAB 7.3, which is HDF5.

MATLAB stores arrays column by column, so an HDF5 reader sees them transposed.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from jaxtyping import Bool, Float, Int16

USER_BLOCK = 512  # bytes before HDF5 begins, in which MATLAB says what it is
HEADER = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"


def write_slice(
    path: pathlib.Path,
    image: Int16[np.ndarray, "rows columns"],
    mask: Bool[np.ndarray, "rows columns"],
    *,
    label: int,
    patient: str,
    border: Float[np.ndarray, "points 2"],
) -> None:
    """One <number>.mat with its struct cjdata.

    Args:
        label: 1 meningioma, 2 glioma, 3 pituitary tumour.
        border: x, y of points on the tumour's outline in pixels, counted from 1.
    """
    letters = np.array([[ord(letter)] for letter in patient], np.uint16)
    with h5py.File(path, "w", userblock_size=USER_BLOCK) as file:
        group = file.create_group("cjdata")
        group.attrs["MATLAB_class"] = np.bytes_("struct")
        _put(group, "PID", letters, "char", decode=2)
        _put(group, "image", image.T, "int16")
        _put(group, "label", np.array([[float(label)]]), "double")
        _put(group, "tumorBorder", border.reshape(1, -1).astype(np.float64), "double")
        _put(group, "tumorMask", mask.T.astype(np.uint8), "logical", decode=1)
    _write_header(path)


def write_folds(path: pathlib.Path, folds: Sequence[int]) -> None:
    """cvind.mat: the fold, 1 to 5, of each slice by number."""
    with h5py.File(path, "w", userblock_size=USER_BLOCK) as file:
        _put(file, "cvind", np.array([folds], np.float64), "double")
    _write_header(path)


def _put(
    group: h5py.Group, name: str, array: np.ndarray, kind: str, decode: int = 0
) -> None:
    options: dict[str, Any] = {"compression": "gzip"} if array.size > 100 else {}
    stored = group.create_dataset(name, data=array, **options)
    stored.attrs["MATLAB_class"] = np.bytes_(kind)
    if decode:
        stored.attrs["MATLAB_int_decode"] = np.int32(decode)


def _write_header(path: pathlib.Path) -> None:
    with path.open("r+b") as file:
        file.write(HEADER)
