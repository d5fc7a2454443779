"""Examples as pictures: the scan, its mask, and the mask over the scan."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from matplotlib import colors

from brainseg_jax.data import image_files
from brainseg_jax.reports.parts import class_figures, figures

BORDER = (255, 255, 0)  # of an outline that the publisher gives beside the mask
LONE = (255, 0, 0)  # of a lone class over a scan; its mask is white
WHITE = "#FFFFFF"
# The last of them cannot be seen on black.
SEVERAL = class_figures.COLOURS[:-1]

Labels = int | Sequence[int]


def scan(image: Shaped[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    """Pixels of any type to look at: three channels as colours, of others the first."""
    return figures.brightened(image_files.as_8_bits(image))


def painted_mask(
    mask: UInt8[np.ndarray, "h w 1"], classes: Mapping[str, Labels]
) -> UInt8[np.ndarray, "h w 3"]:
    """A colour for each class, later ones over earlier; a lone class is white."""
    picture = np.zeros((*mask.shape[:2], 3), np.uint8)
    for labels, colour in zip(classes.values(), class_colours(classes), strict=True):
        picture[np.isin(mask[..., 0], labels)] = colour
    return picture


def scan_with_mask(
    image: Shaped[np.ndarray, "h w c"],
    mask: UInt8[np.ndarray, "h w 1"],
    classes: Mapping[str, Labels],
    border: Shaped[np.ndarray, "p 2"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """The scan in grey; a lone class is red. `border`: a closed line of (x, y), from 1."""
    picture = tinted(grey(scan(image)), mask, classes)
    if border is not None and len(border):
        points = np.rint(border - 1).astype(np.int32)[:, None]
        cv2.polylines(picture, [points], True, BORDER)
    return picture


def tinted(
    picture: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "h w 1"],
    classes: Mapping[str, Labels],
    *,
    lone: tuple[int, int, int] = LONE,
) -> UInt8[np.ndarray, "h w 3"]:
    """Each class in its colour, a lone one in `lone`, later ones over earlier.

    A full outline says exactly where; the faint filling leaves the anatomy visible.
    """
    colours = class_colours(classes) if len(classes) > 1 else [lone]
    for labels, colour in zip(classes.values(), colours, strict=True):
        covered = np.isin(mask[..., 0], labels)
        picture = image_files.overlay(picture, covered, colour, opacity=0.3)
        picture = image_files.overlay(picture, covered, colour, outline=True)
    return picture


def grey(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def class_colours(classes: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    names = [WHITE] if len(classes) == 1 else SEVERAL
    rgb = [colors.to_rgb(names[place % len(names)]) for place in range(len(classes))]
    return [(round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rgb]
