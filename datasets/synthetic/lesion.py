"""A tumour grown into a synthetic head: core, rim and oedema, and its outline."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from datasets.synthetic import head


class Lesion(NamedTuple):
    """Weights from 0 to 1 of the tumour's parts, and the outline a reader would draw."""

    core: head.Volume
    rim: head.Volume
    oedema: head.Volume
    mask: Bool[np.ndarray, "slices rows columns"]


def draw_centre(
    rng: np.random.Generator, heights: Float32[np.ndarray, "slices"]
) -> Float32[np.ndarray, "3"]:
    """A place in the white matter of the hemispheres, near the plane of a slice."""
    middle = heights[np.abs(heights - 20) < 42]
    height = rng.choice(middle if len(middle) else heights) + rng.normal(0, 1.5)
    while True:
        x, y = rng.uniform(-62, 62), rng.uniform(-95, 58)
        centre = np.array([x, y, height], np.float32)
        point = centre[:, None, None, None]
        depth = head.sample(head.template().depth, point, step=2).item()
        white = head.sample(head.template().white, point).item()
        if abs(x) > 12 and white > 0.6 and -45 < depth < -11:
            return centre


def push_aside(places: np.ndarray, centre: np.ndarray, strength: float) -> np.ndarray:
    """Mass effect: tissue around the centre gives way, most at about 2 cm from it."""
    away = places - centre[:, None, None, None]
    fall = np.exp(-np.square(away).sum(0) / (2 * 24.0**2))
    return (centre[:, None, None, None] + away * (1 - strength * fall)).astype(
        np.float32
    )


def grow_lesion(
    rng: np.random.Generator,
    places: np.ndarray,
    depth: head.Volume,
    tissues: dict[str, head.Volume],
    centre: np.ndarray,
    grid: head.Grid,
) -> Lesion:
    """Core, rim and oedema about the centre: ragged, along white matter, off the fluid."""
    radii = rng.uniform(16, 38) * rng.uniform(0.8, 1.25, 3)
    away = (head.rotation(rng.uniform(-1, 1, 3)) / radii[:, None]) @ (
        places - centre[:, None, None, None]
    ).reshape(3, -1)
    radius = np.sqrt(np.square(away).sum(0)).reshape(depth.shape)
    ragged = sum(
        size * head.noise(rng, grid, period)
        for size, period in ((0.16, 30), (0.10, 14), (0.05, 6))
    )
    radius = (radius + ragged).astype(np.float32)
    brain = tissues["white"] + tissues["grey"]
    reach = radius + 0.30 * tissues["grey"] + 0.5 * tissues["fluid"]
    core_end = rng.uniform(0.3, 0.75)
    core = head.band(radius, -9, core_end, 0.12)
    rim = head.band(radius, core_end - 0.06, core_end + 0.06, 0.06) * (1 - core)
    spread = head.band(reach, -9, 1.0, 0.10)
    whole = np.maximum(spread, core) * head.band(depth, -1e3, -2.5)
    # Solid tumour replaces the sulci it swallows; oedema stays within brain tissue.
    whole = whole * np.maximum(brain, core)
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in whole])
    mask = keep_large(smooth > 0.5)
    return Lesion(core * whole, rim * whole, whole * (1 - core) * (1 - rim), mask)


def keep_large(mask: np.ndarray) -> np.ndarray:
    """The largest piece in 3D, without crumbs of under 40 pixels in a slice."""
    pieces, count = ndimage.label(mask)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        mask = pieces == 1 + int(sizes[1:].argmax())
    for plane in mask:
        count, pieces, stats, _ = cv2.connectedComponentsWithStats(plane.view(np.uint8))
        for piece in range(1, count):
            if stats[piece, cv2.CC_STAT_AREA] < 40:
                plane[pieces == piece] = False
    return mask
