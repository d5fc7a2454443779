"""A scan's mask as a picture: three planes through where most is marked."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from brainseg_jax.data import image_files, scans
from brainseg_jax.data.scans import Scan

# Of the labels of a mask, in rising order: colour-blind readers can tell them apart.
COLOURS = ((0, 255, 0), (255, 200, 0), (255, 60, 60), (80, 160, 255))
HEIGHT = 320  # pixels of the picture


def write_planes(path: Path, scan: Scan, labels: UInt8[np.ndarray, "z y x"]) -> Path:
    """Axial, coronal and sagittal plane side by side, of the first channel there is."""
    there = [k for k in range(scan.image.shape[-1]) if k not in scan.missing]
    grey = _grey(scan.image[..., there[0]])
    known = np.unique(labels[labels > 0])
    parts = [_plane(grey, labels, known, scan, axis) for axis in scans.AXES]
    return image_files.write_png(
        path, np.hstack([_in_the_middle(one) for one in parts])
    )


def _plane(
    grey: UInt8[np.ndarray, "z y x"],
    labels: UInt8[np.ndarray, "z y x"],
    known: UInt8[np.ndarray, " k"],
    scan: Scan,
    axis: str,
) -> UInt8[np.ndarray, "h w 3"]:
    """The plane with most that is marked, else the middle one; all in one proportion."""
    marked = scans.slices(labels, axis)
    area = (marked > 0).sum((1, 2))
    place = int(area.argmax()) if area.any() else len(area) // 2
    extent = np.multiply(labels.shape, scan.spacing)
    scale = HEIGHT / max(extent[:2])  # the heights of the three planes
    height, width = np.maximum(1, np.rint(scale * np.delete(extent, scans.AXES[axis])))
    size = int(width), int(height)
    background = np.ascontiguousarray(scans.slices(grey, axis)[place])
    fitted = cv2.resize(background, size, interpolation=cv2.INTER_LINEAR)
    picture = np.repeat(fitted[..., None], 3, axis=-1)
    mask = np.ascontiguousarray(marked[place])
    found = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    for number, label in enumerate(known):
        colour = COLOURS[number % len(COLOURS)]
        picture = image_files.overlay(picture, found == label, colour, opacity=0.4)
    return picture


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
