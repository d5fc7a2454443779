"""A scan's mask as a picture: three planes through where most is marked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from brainseg_jax.data import image_files, scans
from brainseg_jax.data.scans import Scan

# Of the labels of a mask, in rising order: colour-blind readers can tell them apart.
COLOURS = ((0, 255, 0), (255, 200, 0), (255, 60, 60), (80, 160, 255))
HEIGHT = 320  # pixels of the picture


class Plane(NamedTuple):
    """A plane as large as it is in mm, and masks of it."""

    grey: UInt8[np.ndarray, "h w"]
    masks: Sequence[UInt8[np.ndarray, "h w"]]


def write_planes(path: Path, scan: Scan, labels: UInt8[np.ndarray, "z y x"]) -> Path:
    """Axial, coronal and sagittal plane side by side, with a colour for each label."""
    known = np.unique(labels[labels > 0])
    return write_side_by_side(
        path, [_coloured(plane, known) for plane in planes(scan, labels)]
    )


def _coloured(
    plane: Plane, known: UInt8[np.ndarray, " k"]
) -> UInt8[np.ndarray, "h w 3"]:
    picture = np.repeat(plane.grey[..., None], 3, axis=-1)
    (found,) = plane.masks
    for number, label in enumerate(known):
        colour = COLOURS[number % len(COLOURS)]
        picture = image_files.overlay(picture, found == label, colour, opacity=0.4)
    return picture


def planes(
    scan: Scan,
    labels: UInt8[np.ndarray, "z y x"],
    *others: UInt8[np.ndarray, "z y x"],
) -> list[Plane]:
    """Of each axis, of the first channel there is, where most is marked by `labels`.

    `others` are masks to show with them.
    """
    there = [k for k in range(scan.image.shape[-1]) if k not in scan.missing]
    grey = _grey(scan.image[..., there[0]])
    return [_plane(grey, (labels, *others), scan, axis) for axis in scans.AXES]


def write_side_by_side(
    path: Path, pictures: Sequence[UInt8[np.ndarray, "h w 3"]]
) -> Path:
    """Each in the middle of a row of one height."""
    return image_files.write_png(
        path, np.hstack([_in_the_middle(one) for one in pictures])
    )


def _plane(
    grey: UInt8[np.ndarray, "z y x"],
    masks: Sequence[UInt8[np.ndarray, "z y x"]],
    scan: Scan,
    axis: str,
) -> Plane:
    """The plane with most that the first marks, else the middle one; in one proportion."""
    area = (scans.slices(masks[0], axis) > 0).sum((1, 2))
    place = int(area.argmax()) if area.any() else len(area) // 2
    extent = np.multiply(grey.shape, scan.spacing)
    scale = HEIGHT / max(extent[:2])  # the heights of the three planes
    height, width = np.maximum(1, np.rint(scale * np.delete(extent, scans.AXES[axis])))
    size = int(width), int(height)
    background = np.ascontiguousarray(scans.slices(grey, axis)[place])
    shown = [np.ascontiguousarray(scans.slices(one, axis)[place]) for one in masks]
    return Plane(
        cv2.resize(background, size, interpolation=cv2.INTER_LINEAR),
        [cv2.resize(one, size, interpolation=cv2.INTER_NEAREST) for one in shown],
    )


def _in_the_middle(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "H w 3"]:
    """With black above and below."""
    room = HEIGHT - len(picture)
    return np.pad(picture, ((room // 2, room - room // 2), (0, 0), (0, 0)))


def _grey(channel: np.ndarray) -> UInt8[np.ndarray, "z y x"]:
    """Between percentiles of what is not 0."""
    inside = channel[channel != 0]
    if not len(inside):
        return np.zeros(channel.shape, np.uint8)
    low, high = np.percentile(inside, (image_files.LOW, image_files.HIGH))
    low = min(low, 0) if channel.min() >= 0 else low
    spread = high - low if high > low else 1
    return np.rint(np.clip((channel - low) / spread, 0, 1) * 255).astype(np.uint8)
