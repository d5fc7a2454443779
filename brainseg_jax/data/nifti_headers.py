"""What NIfTI files say of themselves before a voxel is read."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel

# What gzip's and nibabel's readers were seen to raise over damaged bytes.
DAMAGED = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError),
    *(
        MemoryError,
        zlib.error,
        gzip.BadGzipFile,
        nibabel.filebasedimages.ImageFileError,
    ),
    nibabel.spatialimages.HeaderDataError,
)


def shape_of(file: Path) -> tuple[int, ...]:
    """Of a file's voxels; () of one that is damaged, which reading it will tell of."""
    try:
        image: Any = nibabel.load(file)
        return without_ones(image.shape)
    except DAMAGED:
        return ()


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without axes of one voxel behind the third."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
