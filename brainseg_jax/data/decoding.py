"""Pixels of a TIFF, PNG or JPEG as they are stored, or what is wrong with the file."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import tifffile
from jaxtyping import Shaped

from brainseg_jax.data import pixels

# What a TIFF with damaged bytes was seen to end in.
DAMAGED = (
    *(ValueError, TypeError, LookupError, ArithmeticError, OSError, EOFError),
    *(MemoryError, struct.error, zlib.error),
)


class UnreadableImage(ValueError):
    """Names the file, what is wrong with it, and the remedy."""


def decode(path: Path) -> Shaped[np.ndarray, "h w c"]:
    """The one page of a file, with whatever channels and bits it has."""
    content = path.read_bytes()
    image = _decode_tiff(path, content)
    if image is not None:
        return image
    pages: tuple[np.ndarray, ...] = ()
    # Older OpenCV fills the missing part of a JPEG with grey instead of refusing it.
    jpeg = content.startswith(b"\xff\xd8")
    cut_short = jpeg and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")
    if content and not cut_short:
        try:
            encoded = np.frombuffer(content, np.uint8)
            pages = tuple(cv2.imdecodemulti(encoded, cv2.IMREAD_UNCHANGED)[1])
        except cv2.error:
            pages = ()
    if not pages:
        raise UnreadableImage(
            f"{path} cannot be decoded: its {len(content)} bytes are truncated, damaged"
            " or no TIFF, PNG or JPEG. Copy or export it again."
        )
    _refuse_pages(path, len(pages))
    image = pixels.in_stored_order(pages[0])
    # OpenCV repeats the grey of a PNG that has grey and alpha.
    grey_and_alpha = content.startswith(b"\x89PNG") and content[25] == 4
    return image[..., [0, 3]] if grey_and_alpha else image


def _decode_tiff(path: Path, content: bytes) -> Shaped[np.ndarray, "h w c"] | None:
    """A TIFF of neither one grey channel nor colours; None for every other file.

    Of its channels OpenCV gives the first alone, or multiplies them by the last.
    """
    if not content.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return None
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            page, count = tiff.pages.first, len(tiff.pages)
            samples, grey = page.samplesperpixel, page.photometric in (0, 1)
    except DAMAGED:
        return None  # OpenCV may know better, or refuses it
    if samples == 1 or (samples == 3 and not grey):
        return None
    _refuse_pages(path, count)
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            image = tiff.pages.first.asarray()
    except DAMAGED as error:
        raise UnreadableImage(
            f"{path} cannot be decoded: {error}. If it is not damaged, export its"
            f" {samples} channels again, without compression."
        ) from error
    return image if page.planarconfig == 1 else np.moveaxis(image, 0, -1)


def _refuse_pages(path: Path, count: int) -> None:
    if count > 1:
        raise UnreadableImage(
            f"{path} holds {count} pages, and a slice is one. Save each page as a"
            " file of its own, numbered <name>_1, <name>_2, ..."
        )
