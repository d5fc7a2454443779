"""A picture as it is stored, and a mask as labels; a ValueError says what is wrong."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import tifffile
from jaxtyping import Shaped, UInt8

from datasets import archives, pixels
from datasets.folder.parts import Meaning
from datasets.folder.settings import KEY

TYPES = (np.uint8, np.uint16)
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
GREY, RGB = (0, 1), 2  # photometric interpretations of a TIFF
ALPHA = "has an alpha channel (transparency): save it without one"
SHOWN = 4  # values of a mask that a message lists
SOFT = 8  # unknown values of a mask from which on it was blurred or compressed
# What tifffile was seen to raise over damaged bytes.
DAMAGED = (
    *(ValueError, TypeError, LookupError, ArithmeticError, OSError, EOFError),
    *(MemoryError, struct.error, zlib.error),
)

Picture = Shaped[np.ndarray, "h w c"]


def read_image(files: archives.Files, names: Sequence[str]) -> Picture:
    """The channels of all files, as stored: red first, 8 or 16 bits."""
    parts = [read_picture(files, name) for name in names]
    if len({(part.shape[:2], part.dtype) for part in parts}) > 1:
        raise ValueError(
            "has channels of other sizes or types: "
            + ", ".join(
                f"{name} {part.dtype} {part.shape[:2]}"
                for name, part in zip(names, parts, strict=True)
            )
        )
    return np.concatenate(parts, axis=-1)


def read_picture(files: archives.Files, name: str) -> Picture:
    """One file's pixels; nothing is converted to fit."""
    content = files.read(name)
    image = _decode_tiff(content) if content.startswith(TIFF) else None
    if image is None:
        image = _decode(content)
    image = image.astype(image.dtype.newbyteorder("="), copy=False)
    if image.dtype not in TYPES:
        raise ValueError(
            f"has {image.dtype} values; whole numbers of 8 or 16 bits without a sign are "
            "read (uint8, uint16)"
        )
    return image


def read_mask(
    files: archives.Files, name: str, meaning: Meaning
) -> UInt8[np.ndarray, "h w"]:
    """Labels as they are stored: those of the raw mask, or the numbers of its colours."""
    mask = read_picture(files, name)
    if meaning.colours:
        return _labels_of_colours(mask, meaning.colours)
    if mask.shape[-1] != 1 and (mask != mask[..., :1]).any():
        raise ValueError(
            f"is a mask with colours, and {KEY}.classes tells classes by labels: give the "
            "colour of each, as in {'tumour': (255, 0, 0)}"
        )
    values = mask[..., 0]
    known = {0}
    for label in meaning.classes.values():
        known |= {label} if isinstance(label, int) else {*label}
    found = np.unique(values)
    if unknown := sorted({*found.tolist()} - known):
        raise ValueError(_unknown_labels(values, unknown, known))
    return values.astype(np.uint8)


def _labels_of_colours(
    mask: Picture, colours: Mapping[str, tuple[int, ...]]
) -> UInt8[np.ndarray, "h w"]:
    """Numbers from 1 in the order of the classes' names; black is 0."""
    if mask.shape[-1] not in (1, 3):
        raise ValueError(f"is a mask of {mask.shape[-1]} channels, not of 3 colours")
    mask = np.broadcast_to(mask, (*mask.shape[:2], 3))
    labels = np.zeros(mask.shape[:2], np.uint8)
    left = mask.any(-1)
    for number, colour in enumerate(colours.values(), start=1):
        own = (mask == np.array(colour)).all(-1)
        labels[own] = number
        left &= ~own
    if left.any():
        others = np.unique(mask[left], axis=0)
        listed = ", ".join(str(tuple(one)) for one in others[:SHOWN].tolist())
        raise ValueError(
            f"has {len(others)} colours that are no class's, such as {listed}, in "
            f"{int(left.sum())} pixels; {KEY}.classes has "
            f"{', '.join(map(str, colours.values()))}.{_soft(len(others))}"
        )
    return labels


def _unknown_labels(values: np.ndarray, unknown: list[int], known: set[int]) -> str:
    count = int(np.isin(values, unknown).sum())
    listed = ", ".join(map(str, unknown[:SHOWN]))
    more = ", ..." if len(unknown) > SHOWN else ""
    return (
        f"has the values {listed}{more} in {count} pixels, and masks have "
        f"{', '.join(map(str, sorted(known)))} alone, by the classes that are declared."
        f"{_soft(len(unknown))}"
    )


def _soft(unknown: int) -> str:
    """Said where there are so many values that they cannot be meant."""
    if unknown < SOFT:
        return ""
    return " So many come of blurred edges or of JPEG: save masks as PNG, unsmoothed"


def _decode(content: bytes) -> Picture:
    """PNG, JPEG, and TIFF of one grey channel or colours."""
    pages: Sequence[np.ndarray] = ()
    # OpenCV fills the missing part of a JPEG with grey instead of refusing it.
    jpeg = content.startswith(b"\xff\xd8")
    cut_short = jpeg and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")
    if content and not cut_short:
        try:
            encoded = np.frombuffer(content, np.uint8)
            pages = cv2.imdecodemulti(encoded, cv2.IMREAD_UNCHANGED)[1]
        except cv2.error:
            pages = ()
    if not pages:
        raise ValueError(
            f"cannot be decoded: its {len(content)} bytes are damaged, cut short, or no "
            "PNG, TIFF or JPEG"
        )
    if len(pages) > 1:
        raise ValueError(
            f"has {len(pages)} pages, and a picture is one: save each alone"
        )
    image = pages[0][..., None] if pages[0].ndim == 2 else pages[0]
    if image.shape[-1] == 4:
        raise ValueError(ALPHA)
    return np.ascontiguousarray(image[..., pixels.OPENCV_ORDER[image.shape[-1]]])


def _decode_tiff(content: bytes) -> Picture | None:
    """A TIFF of neither one grey channel nor three colours; None for every other.

    Of its channels OpenCV gives the first alone, or multiplies them by the last.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            page, count = tiff.pages.first, len(tiff.pages)
            samples, kind = page.samplesperpixel, page.photometric
    except DAMAGED:
        return None  # OpenCV may know better, or refuses it
    if samples == 1 or (samples == 3 and kind not in GREY) or count > 1:
        return None
    if kind == RGB:
        raise ValueError(ALPHA)
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            image = tiff.pages.first.asarray()
    except DAMAGED as error:
        raise ValueError(
            f"cannot be decoded ({error}): export its {samples} channels again, without "
            "compression"
        ) from error
    return image if page.planarconfig == 1 else np.moveaxis(image, 0, -1)
