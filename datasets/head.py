"""A synthetic head with a tumour, as three MR sequences: anatomy, lesion, scanner.

The anatomy is the MNI152 template that nilearn ships, posed and warped anew for each
subject; skull, scalp and face, which the template lacks, are layers around it.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from nilearn import datasets as nilearn_datasets
from scipy import ndimage

SIZE = 256
LOWEST, HIGHEST = -42.0, 78.0  # mm in template space: cerebellum to vertex
Volume = Float32[np.ndarray, "slices rows columns"]

# Signal of each tissue in pre-contrast T1, FLAIR and post-contrast T1; white matter ~0.5.
SIGNALS = {
    "white": (0.60, 0.42, 0.60),
    "grey": (0.42, 0.53, 0.46),
    "fluid": (0.17, 0.10, 0.17),
    "bone": (0.05, 0.05, 0.05),
    "marrow": (0.55, 0.32, 0.55),
    "fat": (1.35, 0.95, 1.35),
    "muscle": (0.42, 0.40, 0.62),
    "sinus": (0.20, 0.20, 1.15),
}


class Head(NamedTuple):
    """One subject, lowest slice first; channels are pre-contrast, FLAIR, post-contrast."""

    images: UInt8[np.ndarray, "slices rows columns 3"]
    masks: Bool[np.ndarray, "slices rows columns"]


class Template(NamedTuple):
    """Maps at 1 mm, but `depth` at 2: mm from the inside of the skull, negative within."""

    grey: Float32[np.ndarray, "x y z"]
    white: Float32[np.ndarray, "x y z"]
    halo: Float32[np.ndarray, "x y z"]
    depth: Float32[np.ndarray, "x y z"]
    origin: Float32[np.ndarray, "3"]


class Lesion(NamedTuple):
    """Weights from 0 to 1 of the tumour's parts, and the outline a reader would draw."""

    core: Volume
    rim: Volume
    oedema: Volume
    mask: Bool[np.ndarray, "slices rows columns"]


@functools.cache
def template() -> Template:
    """The head every subject is a variation of; the files are in nilearn's wheel."""
    whole = nilearn_datasets.load_mni152_template(resolution=1)
    grey, white = (
        load(resolution=1).get_fdata(dtype=np.float32)
        for load in (
            nilearn_datasets.load_mni152_gm_template,
            nilearn_datasets.load_mni152_wm_template,
        )
    )
    brain = whole.get_fdata(dtype=np.float32)[::2, ::2, ::2] > 0
    # Closing by 10 mm spans the fissures, so that the skull is a smooth shell.
    brain = np.pad(brain, 12)
    grown = ndimage.distance_transform_edt(~brain) < 5
    closed = ndimage.distance_transform_edt(grown) > 5
    inside = ndimage.distance_transform_edt(closed)
    outside = ndimage.distance_transform_edt(~closed)
    depth = ndimage.gaussian_filter((outside - inside).astype(np.float32) * 2, 1.5)
    depth = depth[12:-12, 12:-12, 12:-12]
    deep = np.repeat(np.repeat(np.repeat(depth, 2, 0), 2, 1), 2, 2) < -22
    deep = deep[: grey.shape[0], : grey.shape[1], : grey.shape[2]]
    ventricles = np.where(deep, np.clip(1 - grey - white, 0, 1), 0)
    halo = ndimage.gaussian_filter(ventricles.astype(np.float32), 3.5)
    return Template(grey, white, halo, depth, whole.affine[:3, 3].astype(np.float32))


def make_head(rng: np.random.Generator, slices: int) -> Head:
    """A new subject from the generator's next numbers."""
    thickness = (HIGHEST - LOWEST) / (slices - 1) if slices > 1 else 5.0
    heights = LOWEST + thickness * np.arange(slices, dtype=np.float32)
    while True:
        places = place_head(rng, heights, thickness)
        lesion_centre = draw_centre(rng, heights)
        places = push_aside(places, lesion_centre, rng.uniform(0.0, 0.3))
        depth = sample(template().depth, places, step=2)
        tissues = find_tissues(rng, places, depth, thickness)
        lesion = grow_lesion(rng, places, depth, tissues, lesion_centre, thickness)
        with_tumour = lesion.mask.any((1, 2))
        if with_tumour.any() and (slices < 3 or not with_tumour.all()):
            break
    signals = measure_signals(rng, tissues, lesion, thickness)
    signals = lose_sequence(rng, signals)
    return Head(scan(rng, signals, thickness), lesion.mask)


def place_head(
    rng: np.random.Generator, heights: Float32[np.ndarray, "slices"], thickness: float
) -> Float32[np.ndarray, "3 slices rows columns"]:
    """Where in the template each pixel lies (mm): pose, size, and a smooth warp."""
    slices = len(heights)
    pixel = rng.uniform(0.78, 0.98)
    across = (np.arange(SIZE, dtype=np.float32) - SIZE / 2) * pixel
    shift = rng.uniform(-8, 8, 2)
    z, y, x = np.meshgrid(heights, -across, across, indexing="ij")
    grid = np.stack([x + shift[0], y + shift[1], z])
    turns = np.deg2rad(rng.normal(0, [4, 3, 4]))
    scales = rng.normal(1.0, 0.04, 3)
    matrix = (rotation(turns) / scales).astype(np.float32)
    middle = np.array([0, 0, 18], np.float32)[:, None, None, None]  # turn about it
    places = np.einsum("ij,jzyx->izyx", matrix, grid - middle)
    for axis in range(3):
        places[axis] += 2.6 * noise(rng, slices, 110, thickness)
        places[axis] += 1.2 * noise(rng, slices, 30, thickness)
    brain = np.array([0, -18, 18], np.float32)[:, None, None, None]
    return (places + brain).astype(np.float32)


def rotation(turns: np.ndarray) -> np.ndarray:
    """The matrix that turns about x, y and z, in this order (radians)."""
    matrix = np.eye(3)
    for axis, turn in enumerate(turns):
        one, two = (k for k in range(3) if k != axis)
        step = np.eye(3)
        step[[one, two], [one, two]] = np.cos(turn)
        step[one, two], step[two, one] = -np.sin(turn), np.sin(turn)
        matrix = step @ matrix
    return matrix


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
        depth = sample(template().depth, point, step=2).item()
        white = sample(template().white, point).item()
        if abs(x) > 12 and white > 0.6 and -45 < depth < -11:
            return centre


def push_aside(places: np.ndarray, centre: np.ndarray, strength: float) -> np.ndarray:
    """Mass effect: tissue around the centre gives way, most at about 2 cm from it."""
    away = places - centre[:, None, None, None]
    fall = np.exp(-np.square(away).sum(0) / (2 * 24.0**2))
    return (centre[:, None, None, None] + away * (1 - strength * fall)).astype(
        np.float32
    )


def sample(volume: np.ndarray, places: np.ndarray, step: int = 1) -> Volume:
    """The template's map at places in mm, linearly; its edge value beyond the edge."""
    origin = template().origin[:, None, None, None]
    return ndimage.map_coordinates(
        volume, (places - origin) / step, order=1, mode="nearest"
    )


def noise(
    rng: np.random.Generator, slices: int, period: float, thickness: float
) -> Volume:
    """Smooth noise of unit size whose bumps are about `period` mm wide (1 mm pixels)."""
    across = int(np.ceil(SIZE / period)) + 3
    # Slices further apart than a bump is wide have nothing to do with each other.
    along = slices
    if thickness < period:
        along = max(2, int(np.ceil(slices * thickness / period)) + 1)
    coarse = rng.standard_normal((along, across * across), np.float32)
    levels = np.asarray(cv2.resize(coarse, (across * across, slices)))
    planes = levels.reshape(slices, across, across)
    fine = [
        cv2.resize(one, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for one in planes
    ]
    return np.stack(fine) * 1.3


def distance(
    places: np.ndarray, centre: Sequence[float], radii: Sequence[float]
) -> Volume:
    """From the centre of an ellipsoid along its axes, as a share of its radii."""
    shape = (3, 1, 1, 1)
    away = places - np.reshape(np.asarray(centre, np.float32), shape)
    size = np.reshape(np.asarray(radii, np.float32), shape)
    return np.sqrt(np.square(away / size).sum(0))


def band(value: Volume, low: float, high: float, soft: float = 1.0) -> Volume:
    """1 between low and high, falling to 0 over `soft` on either side."""
    return np.clip(np.minimum(value - low, high - value) / soft + 0.5, 0, 1)


def find_tissues(
    rng: np.random.Generator, places: np.ndarray, depth: Volume, thickness: float
) -> dict[str, Volume]:
    """How much of each tissue is in each pixel; shares add up to at most 1."""
    slices = len(depth)
    x, y, z = places
    inside = band(depth, -1e3, 0.0)
    grey, white = sample(template().grey, places), sample(template().white, places)
    # The template's cortex is an average over many: give this subject sulci of its own.
    # They run along the zero lines of smooth noise, which wind as sulci do.
    sulci = np.clip(1 - 3.2 * np.abs(noise(rng, slices, 13, thickness)), 0, 1)
    sulci = sulci * band(depth, -15, 2, 5) * rng.uniform(0.5, 1.0)
    grey, white = grey * (1 - sulci), white * (1 - 0.8 * sulci)
    total = np.maximum(grey + white, 1.0)
    grey, white = inside * grey / total, inside * white / total
    fluid = np.clip(inside - grey - white, 0, 1)

    bone_end = rng.uniform(5.0, 8.0) + 0.7 * noise(rng, slices, 40, thickness)
    skin_end = bone_end + rng.uniform(3, 7) + 0.7 * noise(rng, slices, 80, thickness)
    skull = band(depth - bone_end, -1e3, 0) * (1 - inside)
    marrow = skull * band((depth - 0.5 * bone_end) / 1.6, -0.5, 0.5, 0.6)
    face = 48 * (1 - distance(places, (0, 50, -50), (62, 50, 52)))
    eyes = sum(
        band(1 - distance(places, (side, 66, -30), (12, 12, 12)), 0, 9, 0.1)
        for side in (-31, 31)
    )
    scalp = np.maximum(band(depth - skin_end, -1e3, 0, 1.5), band(face, 0, 1e3, 1.5))
    scalp = scalp * (1 - inside) * (1 - skull) * (1 - eyes)
    # Below the brain soft tissue and air take the place of the fat layer.
    patches = noise(rng, slices, 11, thickness)
    lean = np.maximum(band(z, -200, -15, 25), band(face, 7, 99, 5)) * band(
        patches, -0.9, 9, 0.5
    )
    air = band(face, 8, 99, 4) * band(patches, 0.5, 9, 0.4) * band(x, -26, 26, 6)
    scalp = scalp * (1 - air)
    sinus = inside * band(depth, -6, 0) * np.exp(-np.square(x / 3.5)) * band(z, 0, 200)
    return {
        "white": white * (1 - sinus),
        "grey": grey * (1 - sinus),
        "fluid": fluid * (1 - sinus) + eyes * (1 - inside),
        "bone": skull - marrow,
        "marrow": marrow * rng.uniform(0.3, 1.0),
        "fat": scalp * (1 - lean),
        "muscle": scalp * lean,
        "sinus": sinus,
        "halo": sample(template().halo, places) * white,
    }


def grow_lesion(
    rng: np.random.Generator,
    places: np.ndarray,
    depth: Volume,
    tissues: dict[str, Volume],
    centre: np.ndarray,
    thickness: float,
) -> Lesion:
    """Core, rim and oedema about the centre: ragged, along white matter, off the fluid."""
    slices = len(depth)
    radii = rng.uniform(13, 30) * rng.uniform(0.8, 1.25, 3)
    away = (rotation(rng.uniform(-1, 1, 3)) / radii[:, None]) @ (
        places - centre[:, None, None, None]
    ).reshape(3, -1)
    radius = np.sqrt(np.square(away).sum(0)).reshape(depth.shape)
    ragged = sum(
        size * noise(rng, slices, period, thickness)
        for size, period in ((0.16, 30), (0.10, 14), (0.05, 6))
    )
    radius = (radius + ragged).astype(np.float32)
    brain = tissues["white"] + tissues["grey"]
    reach = radius + 0.30 * tissues["grey"] + 0.5 * tissues["fluid"]
    core_end = rng.uniform(0.3, 0.75)
    core = band(radius, -9, core_end, 0.12)
    rim = band(radius, core_end - 0.06, core_end + 0.06, 0.06) * (1 - core)
    spread = band(reach, -9, 1.0, 0.10)
    whole = np.maximum(spread, core) * band(depth, -1e3, -2.5)
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


def measure_signals(
    rng: np.random.Generator,
    tissues: dict[str, Volume],
    lesion: Lesion,
    thickness: float,
) -> list[Volume]:
    """The noise-free sequences: healthy tissue, FLAIR-bright distractors, tumour."""
    slices = len(lesion.mask)
    texture = noise(rng, slices, 5, thickness)
    spots = band(noise(rng, slices, 8, thickness), 2.2, 99, 0.4) * tissues["white"]
    caps = np.clip(tissues["halo"] * (1.6 + noise(rng, slices, 16, thickness)), 0, 0.6)
    distractors = rng.uniform(0, 1.3) * caps + rng.uniform(0, 0.5) * spots
    whole = lesion.core + lesion.rim + lesion.oedema
    bright = rng.uniform(0.62, 1.05)
    patchy = 0.10 * noise(rng, slices, 10, thickness)
    enhancing = rng.uniform(0.7, 1.2) if rng.random() < 0.45 else 0.0
    dark_core = rng.uniform(0.25, 0.5) if rng.random() < 0.3 else bright * 1.1
    parts = [
        (rng.uniform(0.22, 0.42), dark_core, rng.uniform(0.2, 0.42)),
        (rng.uniform(0.35, 0.5), bright, max(enhancing, 0.42)),
        (rng.uniform(0.36, 0.46), bright * rng.uniform(0.8, 1.0), 0.40),
    ]
    signals = []
    for channel in range(3):
        signal = sum(
            values[channel] * rng.normal(1, 0.06) * tissues[name]
            for name, values in SIGNALS.items()
        )
        if channel == 1:
            signal = signal + distractors
        tumour = sum(
            part[channel] * weight
            for part, weight in zip(
                parts, (lesion.core, lesion.rim, lesion.oedema), strict=True
            )
        )
        tumour = tumour + whole * patchy * (1.0 if channel == 1 else 0.5)
        signals.append(signal * (1 - whole) + tumour + 0.015 * texture * (signal > 0.1))
    return signals


def lose_sequence(rng: np.random.Generator, signals: list[Volume]) -> list[Volume]:
    """As published: where a sequence was not taken, FLAIR stands in (15 of 110)."""
    before, flair, after = signals
    draw = rng.random()
    if draw < 9 / 110:
        return [before, flair, flair]
    return [flair, flair, after] if draw < 15 / 110 else signals


def scan(
    rng: np.random.Generator, signals: list[Volume], thickness: float
) -> UInt8[np.ndarray, "slices rows columns 3"]:
    """Blur, bias field, gain and Rician noise; each sequence has its own."""
    slices = len(signals[0])
    channels = []
    for signal in signals:
        blur = rng.uniform(0.45, 0.9)
        bias = np.exp(0.12 * noise(rng, slices, 110, thickness))
        gain, sigma = rng.uniform(70, 150), rng.uniform(1.0, 3.5)
        clean = np.stack([cv2.GaussianBlur(one, (0, 0), blur) for one in signal])
        clean = clean * bias * gain
        real, imaginary = rng.standard_normal((2, *clean.shape), np.float32) * sigma
        channels.append(np.hypot(clean + real, imaginary))
    return np.clip(np.stack(channels, -1) + 0.5, 0, 255).astype(np.uint8)
