"""The publisher's .mat files: which slices there are, and reading one with its checks.

They are of MATLAB's version 7.3, which is HDF5. MATLAB stores arrays column by column, so
that HDF5 gives the transpose of what a reader of the publication sees.
"""

import io
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

import h5py
import numpy as np
from jaxtyping import Float64, Int, UInt8, UInt16

from datasets import archives

CLASSES = ("meningioma", "glioma", "pituitary")  # numbered from 1
FIELDS = ("image", "label", "PID", "tumorBorder", "tumorMask")
FOLDS_FILE = "cvind.mat"
FOLDS = 5
NAME = re.compile(r"0*(?P<number>\d+)\.mat", re.I)
WIDEST = 4096  # pixels or points along an axis that are read
HIGHEST = np.iinfo(np.uint16).max

Folds = Int[np.ndarray, " slices"]

# What HDF5's reader was seen to raise over damaged bytes.
UNREADABLE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    AttributeError,
    MemoryError,
    OverflowError,
)


class Slice(NamedTuple):
    """One file: its number, which is also its place in the official folds."""

    number: int
    file: str

    @property
    def key(self) -> str:
        return str(self.number)


class Content(NamedTuple):
    """What a file holds, in the orientation of the publication."""

    image: UInt16[np.ndarray, "rows columns"]
    mask: UInt8[np.ndarray, "rows columns"]  # 0, or the number of the class
    label: int  # number of the class, from 1
    patient: str
    border: Float64[np.ndarray, "points 2"]  # x, y in pixels, as MATLAB counts: from 1


def find_slices(names: Iterable[str]) -> tuple[list[Slice], list[dict[str, str]]]:
    """The slices by number, and the bad files; cvind.mat and texts are neither."""
    found: dict[int, Slice] = {}
    bad: list[dict[str, str]] = []
    for name in names:
        path = pathlib.PurePosixPath(name)
        if path.suffix.lower() != ".mat" or path.name == FOLDS_FILE:
            continue
        if not (parts := NAME.fullmatch(path.name)):
            reason = f"is called neither <number>.mat nor {FOLDS_FILE}"
            bad.append({"file": name, "reason": reason})
            continue
        one = Slice(int(parts["number"]), name)
        if one.number in found:
            reason = f"has the number of {found[one.number].file}, too"
            bad.append({"file": name, "reason": reason})
        found.setdefault(one.number, one)
    return sorted(found.values()), bad


def read_slice(files: archives.Files, name: str) -> Content:
    """One slice, without loss; ValueError says what is wrong with its file."""
    fields = _read_fields(files.read(name))
    image = _whole(fields["image"].T, "image")
    if image.ndim != 2:
        raise ValueError(f"has an image with {image.ndim} axes instead of 2")
    mask = _whole(fields["tumorMask"].T, "tumorMask")
    if mask.shape != image.shape:
        raise ValueError(
            f"has a mask of shape {mask.shape} for an image of {image.shape}"
        )
    if mask.max() > 1:
        raise ValueError(f"has a mask with the value {mask.max()}, not 0 and 1 alone")
    if not mask.any():
        raise ValueError("has an empty mask, where every slice has a tumour")
    label = _whole(fields["label"], "label")
    if label.size != 1 or not 1 <= label.item() <= len(CLASSES):
        raise ValueError(
            f"is of class {', '.join(map(str, label.flat))}; there are 1 to {len(CLASSES)}"
        )
    return Content(
        image=image.astype(np.uint16),
        mask=(mask * label.item()).astype(np.uint8),
        label=label.item(),
        patient=_text(fields["PID"]),
        border=_points(fields["tumorBorder"]),
    )


def read_folds(data: bytes) -> Folds:
    """The official fold, 1 to 5, of each slice by number; ValueError says what is wrong."""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            folds = _array(file, "cvind").reshape(-1)
    except UNREADABLE as error:
        raise ValueError(f"cannot be read as MATLAB 7.3 ({_reason(error)})") from error
    folds = _whole(folds, "cvind")
    if folds.min() < 1 or folds.max() > FOLDS:
        raise ValueError(
            f"has folds from {folds.min()} to {folds.max()}; there are 1 to {FOLDS}"
        )
    return folds


def _read_fields(data: bytes) -> dict[str, np.ndarray]:
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            if "cjdata" not in file:
                raise ValueError("it has no cjdata")
            group = file["cjdata"]
            if missing := [field for field in FIELDS if field not in group]:
                raise ValueError(f"cjdata has no {missing[0]}")
            return {field: _array(group, field) for field in FIELDS}
    except UNREADABLE as error:
        raise ValueError(f"cannot be read as MATLAB 7.3 ({_reason(error)})") from error


def _array(group: h5py.Group, field: str) -> np.ndarray:
    stored = group[field]
    if not isinstance(stored, h5py.Dataset) or stored.dtype.kind not in "biuf":
        raise ValueError(f"{field} is no array of numbers")
    if not stored.size or max(stored.shape) > WIDEST or stored.size > WIDEST**2:
        raise ValueError(f"{field} has the shape {stored.shape}")
    return stored[()]


def _reason(error: Exception) -> str:
    return str(error.args[0] if error.args else error).splitlines()[0]


def _whole(array: np.ndarray, field: str) -> Int[np.ndarray, "..."]:
    """Numbers that 16 bits without a sign can hold."""
    if not np.isfinite(array).all():
        raise ValueError(f"has a value in {field} that is no number (NaN or infinite)")
    low, high = array.min(), array.max()
    if low < 0:
        raise ValueError(f"has the negative value {low} in {field}")
    if high > HIGHEST:
        raise ValueError(f"has the value {high} in {field}, above {HIGHEST}")
    whole = array.astype(np.int64)
    if (whole != array).any():
        raise ValueError(f"has a value in {field} that is not whole")
    return whole


def _text(codes: np.ndarray) -> str:
    """A patient's name from its letters: one row of them in MATLAB, a column here."""
    if codes.ndim == 2 and codes.shape[1] > 1:
        raise ValueError(f"names {codes.shape[1]} patients in PID instead of one")
    name = "".join(map(chr, _whole(codes, "PID").reshape(-1))).strip()
    if not name or not name.isprintable():
        raise ValueError(f"has the patient's name {name!r} in PID")
    return name


def _points(border: np.ndarray) -> Float64[np.ndarray, "points 2"]:
    if border.size % 2 or not np.isfinite(border).all():
        raise ValueError("has a tumorBorder that is not x, y of points")
    return border.reshape(-1, 2).astype(np.float64)
