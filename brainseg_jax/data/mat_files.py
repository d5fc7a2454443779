"""Slices in MATLAB 7.3 files as the figshare brain tumour set has them, and masks so.

MATLAB stores arrays column by column: HDF5 has the transpose of what a reader sees.
"""

import io
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped, UInt8

from brainseg_jax import files
from brainseg_jax.data.image_files import UnreadableImage

GROUP, IMAGE, MASK = "cjdata", "image", "tumorMask"
HEADER = b"MATLAB 7.3 MAT-file, written by brainseg_jax"
# What HDF5's reader was seen to raise over damaged bytes.
DAMAGED = (OSError, LookupError, ValueError, TypeError, RuntimeError, AttributeError)


def read(path: Path, field: str = IMAGE) -> Shaped[np.ndarray, "h w 1"]:
    """The field cjdata/image, or another of cjdata.

    Raises:
        UnreadableImage: if it is no such file.
    """
    try:
        with h5py.File(io.BytesIO(path.read_bytes()), "r") as file:
            image = file[GROUP][field][()]
        if image.ndim != 2 or image.dtype.kind not in "iuf":
            raise ValueError(f"cjdata/{field} is of {image.dtype} {image.shape}")
    except DAMAGED as error:
        reason = str(error.args[0] if error.args else error).splitlines()[0]
        raise UnreadableImage(
            f"{path} cannot be read as a MATLAB 7.3 file with cjdata/{field} ({reason}). "
            "Save the slice as the figshare set has it, or as TIFF or PNG."
        ) from error
    return np.ascontiguousarray(image.T)[..., None]


def write_mask(path: Path, mask: UInt8[np.ndarray, "h w"]) -> Path:
    """The field cjdata/tumorMask, with the mask's values as they are."""
    content = io.BytesIO()
    with h5py.File(content, "w", userblock_size=512) as file:
        stored = file.create_group(GROUP).create_dataset(MASK, data=mask.T)
        stored.attrs["MATLAB_class"] = np.bytes_("uint8")
        file[GROUP].attrs["MATLAB_class"] = np.bytes_("struct")
    # What MATLAB looks for: a text, then version 2 and the order of bytes.
    header = HEADER.ljust(124) + b"\x00\x02IM"
    return files.write_atomically(path, header + content.getvalue()[len(header) :])
