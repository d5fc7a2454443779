"""A glioma in a brain without its skull, in four sequences, as BraTS publishes volumes.

Dead core (label 1) within an enhancing rim (4) that is torn in places, and oedema (2) along
white matter around them; in some nothing enhances.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Int16, UInt8
from scipy import ndimage

from datasets.synthetic import head, lesion

DEAD_CORE, OEDEMA, ENHANCING = 1, 2, 4
FIELD, HEIGHT = 240.0, 155.0  # mm across and from below upwards
LOWEST = -70.0  # mm in template space: below the cerebellum
SEQUENCES = ("flair", "t1", "t1ce", "t2")
# Signal of each tissue in these; white matter has about 0.5.
SIGNALS = {
    "white": (0.42, 0.60, 0.60, 0.42),
    "grey": (0.53, 0.42, 0.46, 0.56),
    "fluid": (0.10, 0.17, 0.17, 1.25),
    "sinus": (0.20, 0.20, 1.15, 0.15),
}
MOST_BRIGHT = np.iinfo(np.int16).max


class Case(NamedTuple):
    """Slices from below upwards, rows from in front backwards, columns from the left."""

    images: dict[str, Int16[np.ndarray, "slices rows columns"]]
    labels: UInt8[np.ndarray, "slices rows columns"]


class Parts(NamedTuple):
    """The share of each voxel that a part of the tumour has."""

    core: head.Volume
    rim: head.Volume
    oedema: head.Volume

    @property
    def whole(self) -> head.Volume:
        return self.core + self.rim + self.oedema


def make_case(rng: np.random.Generator, step: float, *, enhances: bool) -> Case:
    """A new head with a tumour, of voxels of `step` mm."""
    size, slices = round(FIELD / step), round(HEIGHT / step)
    grid = head.Grid(slices, step, size, step)
    heights = LOWEST + step * np.arange(slices, dtype=np.float32)
    while True:
        centre = lesion.draw_centre(rng, heights)
        places = head.place_head(rng, heights, grid, pixel=step)
        places = lesion.push_aside(places, centre, rng.uniform(0.0, 0.3))
        depth = head.sample(head.template().depth, places, step=2)
        inside = head.band(depth, -1e3, 0.0)
        tissues = head.find_brain(rng, places, depth, grid, inside)
        parts = _grow(rng, places, depth, tissues, centre, grid, enhances)
        labels = _label(parts)
        if (labels == ENHANCING).any() == enhances and (labels == OEDEMA).any():
            break
    brain = _strip(tissues, labels, depth)
    signals = _measure(rng, tissues, parts, grid)
    images = {
        name: _scan(rng, signal, brain, grid)
        for name, signal in zip(SEQUENCES, signals, strict=True)
    }
    return Case(images, labels)


def _grow(
    rng: np.random.Generator,
    places: np.ndarray,
    depth: head.Volume,
    tissues: dict[str, head.Volume],
    centre: np.ndarray,
    grid: head.Grid,
    enhances: bool,
) -> Parts:
    """Shells about the centre: ragged, oedema along white matter and off the fluid."""
    radii = rng.uniform(18, 40) * rng.uniform(0.8, 1.25, 3)
    away = (head.rotation(rng.uniform(-1, 1, 3)) / radii[:, None]) @ (
        places - centre[:, None, None, None]
    ).reshape(3, -1)
    radius = np.sqrt(np.square(away).sum(0)).reshape(depth.shape).astype(np.float32)
    for amount, period in ((0.16, 30), (0.10, 14), (0.05, 7)):
        radius += amount * head.noise(rng, grid, period)
    reach = radius + 0.35 * tissues["grey"] + 0.6 * tissues["fluid"]
    brain = tissues["white"] + tissues["grey"]
    within = head.band(depth, -1e3, -2.5)
    end = rng.uniform(0.45, 0.75)
    solid = head.band(radius, -9, end, 0.08) * within
    spread = head.band(reach, -9, 1.0, 0.10) * within * brain
    if not enhances:
        return Parts(solid, np.zeros_like(solid), np.clip(spread - solid, 0, 1))
    thick = np.clip(0.16 + 0.09 * head.noise(rng, grid, 18), 0.03, 0.4)
    dead = head.band(radius + thick, -9, end, 0.08) * solid
    whole_here = head.band(head.noise(rng, grid, 24), -1.1, 99, 0.3)  # else torn
    rim = (solid - dead) * whole_here
    return Parts(solid - rim, rim, np.clip(spread - solid, 0, 1))


def _label(parts: Parts) -> UInt8[np.ndarray, "slices rows columns"]:
    """Of the largest piece, the part that has most of each voxel."""
    whole = parts.whole > 0.5
    pieces, count = ndimage.label(whole)
    if count > 1:
        whole = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    most = np.argmax(np.stack(parts), axis=0)
    labels = np.array([DEAD_CORE, ENHANCING, OEDEMA], np.uint8)[most]
    return labels * whole


def _strip(
    tissues: dict[str, head.Volume], labels: np.ndarray, depth: head.Volume
) -> Bool[np.ndarray, "slices rows columns"]:
    """The brain and the fluid within it, as skull-stripping leaves them."""
    matter = tissues["white"] + tissues["grey"] > 0.4
    grown = ndimage.binary_dilation(matter, iterations=2)
    # The volume's border is no end of the brain.
    closed = ndimage.binary_erosion(grown, iterations=2, border_value=1)
    return ndimage.binary_fill_holes((closed & (depth < -1)) | (labels > 0))


def _measure(
    rng: np.random.Generator,
    tissues: dict[str, head.Volume],
    parts: Parts,
    grid: head.Grid,
) -> list[head.Volume]:
    """The four sequences, free of noise."""
    texture = 0.015 * head.noise(rng, grid, 6)
    patches = 0.05 * head.noise(rng, grid, 10) + 0.04 * head.noise(rng, grid, 17)
    halo = tissues["halo"] * rng.uniform(0, 1.0)  # bright round the ventricles
    tumour = _draw_signals(rng)
    signals = []
    for channel, name in enumerate(SEQUENCES):
        healthy = texture.copy()
        for tissue, values in SIGNALS.items():
            share = np.float32(values[channel] * rng.normal(1, 0.06))
            healthy += share * tissues[tissue]
        if name in ("flair", "t2"):
            healthy += np.clip(halo, 0, 0.6)
        inner = parts.whole * patches * (1.0 if name in ("flair", "t2") else 0.5)
        for part, weight in zip(tumour, parts, strict=True):
            inner += np.float32(part[channel]) * weight
        signals.append(healthy * (1 - parts.whole) + inner)
    return signals


def _draw_signals(rng: np.random.Generator) -> list[tuple[float, ...]]:
    """Core, rim and oedema in each sequence; some cores are dark on FLAIR as cysts are."""
    bright = rng.uniform(0.75, 1.1)
    core = rng.uniform(0.25, 0.5) if rng.random() < 0.4 else bright
    return [
        (core, rng.uniform(0.25, 0.4), rng.uniform(0.25, 0.4), rng.uniform(0.8, 1.2)),
        (0.9 * bright, rng.uniform(0.4, 0.5), rng.uniform(0.85, 1.4), 0.7),
        (bright, rng.uniform(0.38, 0.46), 0.42, rng.uniform(0.8, 1.0)),
    ]


def _scan(
    rng: np.random.Generator,
    signal: head.Volume,
    brain: Bool[np.ndarray, "slices rows columns"],
    grid: head.Grid,
) -> Int16[np.ndarray, "slices rows columns"]:
    """Blur, bias field and noise; the gain differs by up to a hundredfold."""
    blur = rng.uniform(0.4, 0.8)
    gain = float(np.exp(rng.uniform(np.log(250), np.log(25_000))))
    bias = np.exp(0.10 * head.noise(rng, grid, 110))
    clean = np.stack([cv2.GaussianBlur(one, (0, 0), blur) for one in signal]) * bias
    sigma = rng.uniform(0.01, 0.03)
    real, imaginary = rng.standard_normal((2, *clean.shape), np.float32) * sigma
    values = np.rint(gain * np.hypot(clean + real, imaginary))
    return np.where(brain, np.clip(values, 1, MOST_BRIGHT), 0).astype(np.int16)
