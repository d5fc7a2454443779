"""A NIfTI file's voxels and where they lie, from its bytes: .nii or .nii.gz.

How much there is to unpack is taken from the header, and checked before it is unpacked.
"""

import gzip
import io
import zlib
from typing import IO, Any, NamedTuple

import nibabel
import numpy as np
from jaxtyping import Float64, Shaped

ENDINGS = (".nii.gz", ".nii")
MOST_VOXELS = 512**3
GZIP = b"\x1f\x8b"
HEADERS = {348: nibabel.Nifti1Header, 540: nibabel.Nifti2Header}  # by their sizes
SMALLEST = 1e-6  # mm^3 of a voxel
APART = 1e-3  # mm by which affines of one grid may differ

# What gzip's and nibabel's readers were seen to raise over damaged bytes.
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    OverflowError,
    zlib.error,
    nibabel.spatialimages.HeaderDataError,
    nibabel.spatialimages.HeaderTypeError,
)


class Scan(NamedTuple):
    """A file's voxels in its own order, and their places in mm: R, A and S are positive."""

    voxels: Shaped[np.ndarray, "x y z"]
    affine: Float64[np.ndarray, "4 4"]

    @property
    def axes(self) -> str:
        """Where each axis points, as in LPS."""
        return "".join(nibabel.aff2axcodes(self.affine))


def is_nifti(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def read(data: bytes) -> Scan:
    """All voxels, scaled as the header says; ValueError says what is wrong."""
    packed = data[:2] == GZIP
    stream: Any = (
        gzip.GzipFile(fileobj=io.BytesIO(data)) if packed else io.BytesIO(data)
    )
    try:
        header = _read_header(stream)
        _check(header)
        return Scan(_read_voxels(header, stream), _read_affine(header))
    except EOFError as error:
        raise ValueError("is cut short: fetch or unpack it again") from error
    except _Refused:
        raise
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"cannot be read as NIfTI ({reason})") from error


def read_type(data: bytes) -> np.dtype:
    """Of the numbers that `read` would give, by the header alone."""
    packed = data[:2] == GZIP
    stream: Any = (
        gzip.GzipFile(fileobj=io.BytesIO(data)) if packed else io.BytesIO(data)
    )
    try:
        header = _read_header(stream)
        slope, intercept = header.get_slope_inter()
    except UNREADABLE as error:
        raise ValueError(f"cannot be read as NIfTI ({error})") from error
    scaled = slope is not None and (slope, intercept) != (1, 0)
    return np.dtype(np.float64) if scaled else header.get_data_dtype().newbyteorder("=")


def whole_numbers(
    voxels: Shaped[np.ndarray, "*space"], dtype: Any
) -> Shaped[np.ndarray, "*space"]:
    """The same numbers as integers of a type; ValueError names one that is none of it."""
    limits = np.iinfo(dtype)
    if voxels.dtype == dtype:
        return voxels
    if voxels.dtype.kind == "f":
        if not np.isfinite(voxels).all():
            raise ValueError("has voxels that are no numbers (NaN or infinite)")
        broken = voxels != np.rint(voxels)
        if broken.any():
            raise ValueError(
                f"has {broken.sum():,} values that are not whole, such as "
                f"{voxels[broken][0]:g}, where whole numbers are stored"
            )
    low, high = voxels.min(), voxels.max()
    if low < limits.min or high > limits.max:
        worst = low if low < limits.min else high
        raise ValueError(
            f"has the value {worst:g}, where {limits.min} to {limits.max} are stored"
        )
    return voxels.astype(dtype)


def difference(one: Scan, other: Scan, name: str) -> str:
    """In what a file's grid differs from another's, of that name; "" if in nothing."""
    if one.axes != other.axes:
        return f"has the axes {one.axes}, but {name} has {other.axes}"
    if one.voxels.shape != other.voxels.shape:
        ours, theirs = shown(one.voxels.shape), shown(other.voxels.shape)
        return f"has {ours} voxels, but {name} has {theirs}"
    ends = np.array([[0, 0, 0, 1], [*one.voxels.shape, 1]]).T
    apart = np.abs((one.affine - other.affine) @ ends).max()
    if apart > APART:
        return f"lies up to {apart:.3g} mm from where {name} lies: their affines differ"
    return ""


def shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


class _Refused(ValueError):
    """A sentence of ours, which needs no other around it."""


def _read_header(stream: IO[bytes]) -> Any:
    first = stream.read(4)
    sizes = [int.from_bytes(first, order) for order in ("little", "big")]
    kind = next((HEADERS[size] for size in sizes if size in HEADERS), None)
    if len(first) < 4:
        raise EOFError
    if kind is None:
        raise _Refused("is no NIfTI file: it begins with other bytes")
    size = kind.template_dtype.itemsize
    block = first + stream.read(size - 4)
    if len(block) < size:
        raise EOFError
    return kind(block, check=True)


def _check(header: Any) -> None:
    """Raises _Refused for what is no volume of numbers, or too large to be unpacked."""
    if header["magic"].item().startswith(b"ni"):
        raise _Refused("is the header of a pair of files: save it as one .nii.gz")
    shape = header.get_data_shape()
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise _Refused(
            f"has {len(shape)} axes, {shown(shape)}, instead of 3: it is no single volume"
        )
    voxels = int(np.prod([int(size) for size in shape], dtype=object))
    if not 0 < voxels <= MOST_VOXELS:
        raise _Refused(
            f"has {shown(shape)} voxels by its header, where {MOST_VOXELS:,} are the most"
        )
    if header.get_data_dtype().kind not in "iuf":
        raise _Refused(
            f"holds {header.get_data_dtype()}, not one number for each voxel"
        )


def _read_voxels(header: Any, stream: IO[bytes]) -> Shaped[np.ndarray, "x y z"]:
    """As nibabel gives them; of what follows them in the file not more than a byte."""
    shape, size = header.get_data_shape(), header.template_dtype.itemsize
    bytes_in_all = (
        int(np.prod(shape, dtype=np.int64)) * header.get_data_dtype().itemsize
    )
    offset = header.get_data_offset()
    if not size <= offset <= size + 2**20:
        raise _Refused(f"has its voxels at byte {offset}, by its header")
    rest = stream.read(offset - size + bytes_in_all + 1)
    if len(rest) < offset - size + bytes_in_all:
        raise EOFError
    if len(rest) > offset - size + bytes_in_all:
        raise _Refused(
            f"holds more than the {bytes_in_all:,} bytes of {shown(shape)} voxels that "
            "its header tells of"
        )
    whole = io.BytesIO(b"\0" * size + rest)
    return np.asarray(header.data_from_fileobj(whole)).reshape(shape[:3], order="F")


def _read_affine(header: Any) -> Float64[np.ndarray, "4 4"]:
    affine = np.asarray(header.get_best_affine(), np.float64)
    if not np.isfinite(affine).all():
        raise _Refused("has an affine with numbers that are none (NaN or infinite)")
    if abs(np.linalg.det(affine[:3, :3])) < SMALLEST:
        raise _Refused("has an affine that makes voxels flat: two axes point one way")
    return affine
