"""Contrast-enhanced T1 slices in three planes, with one of three kinds of tumour.

Meningioma lies outside the brain on the skull's inside, evenly bright; glioma within white
matter, ragged, dark or with a bright rim; pituitary tumour in the sella, small and bright.
Each plane is a series of its own: the tumour is the same, the head's pose and the folds of
its brain are drawn anew.
"""

from typing import NamedTuple

import cv2
import numpy as np

from datasets.synthetic import head, lesion, outline, scanner

AXES = {"axial": 2, "coronal": 1, "sagittal": 0}  # that each plane cuts
KINDS = ("meningioma", "glioma", "pituitary")
SELLA = (0.0, 5.0, -34.0)  # mm in template space
NOT_IN_PLACE = np.array([0.0, -18.0, 0.0])  # mm by which place_head moves every head
SMALLEST = 60  # pixels of a tumour in a slice of 256x256


class Tumour(NamedTuple):
    """What all series of a patient share."""

    kind: str
    centre: np.ndarray  # mm in template space
    radii: np.ndarray  # mm
    turns: np.ndarray  # radians
    bright: float  # signal of its enhancing part; white matter has about 0.6
    ring: bool  # whether it is bright at its rim alone


def draw_tumour(rng: np.random.Generator, kind: str) -> Tumour:
    """Place, size and look of one kind of tumour."""
    if kind == "meningioma":
        radius, bright = rng.uniform(11, 24), rng.uniform(0.75, 1.3)
        centre = _draw_place(rng, (-0.65 * radius, -0.35 * radius), white=0.0)
    elif kind == "glioma":
        radius, bright = rng.uniform(13, 30), rng.uniform(0.7, 1.1)
        centre = _draw_place(rng, (-45, -14), white=0.6)
    else:
        radius, bright = rng.uniform(6, 13), rng.uniform(0.6, 1.1)
        centre = np.array(SELLA) + rng.normal(0, [1.5, 1.5, 1.0]) + [0, 0, 0.3 * radius]
    return Tumour(
        kind=kind,
        centre=centre.astype(np.float32),
        radii=radius * rng.uniform(0.8, 1.2, 3),
        turns=rng.uniform(-1, 1, 3),
        bright=bright,
        ring=bool(rng.random() < 0.5),
    )


def _draw_place(
    rng: np.random.Generator, depths: tuple[float, float], white: float
) -> np.ndarray:
    """A place at a depth below the skull, with at least so much white matter."""
    while True:
        centre = rng.uniform((-65, -95, -30), (65, 62, 72))
        point = centre.astype(np.float32)[:, None, None, None]
        depth = head.sample(head.template().depth, point, step=2).item()
        matter = head.sample(head.template().white, point).item()
        if depths[0] < depth < depths[1] and matter >= white:
            return centre


def make_series(
    rng: np.random.Generator, tumour: Tumour, plane: str, slices: int, size: int
) -> list[outline.Slice]:
    """Slices through the tumour, each with some of it, of size x size pixels."""
    axis = AXES[plane]
    thickness = min(7.0, 1.5 * float(tumour.radii.min()) / slices)
    grid = head.Grid(slices, thickness)
    places_along = (np.arange(slices) - (slices - 1) / 2) * thickness
    while True:
        middle = (tumour.centre - NOT_IN_PLACE)[axis] + rng.normal(0, 1)
        heights = (middle + places_along).astype(np.float32)
        places = head.place_head(rng, heights, grid, plane)
        places = lesion.push_aside(places, tumour.centre, rng.uniform(0.0, 0.2))
        depth = head.sample(head.template().depth, places, step=2)
        tissues = head.find_tissues(rng, places, depth, grid)
        _add_neck(rng, tissues, places, depth, grid)
        weights = _grow(rng, tumour, places, depth, tissues, grid)
        drawn = np.stack(
            [cv2.GaussianBlur(one, (0, 0), 1.2) for one in weights["whole"]]
        )
        masks = lesion.keep_large(drawn > 0.5)
        if (masks.sum((1, 2)) >= SMALLEST).all():
            break
    signal = _measure(rng, tumour, tissues, weights, grid)
    images = _scan(rng, signal, grid)
    return [
        outline.finish(image, mask, size)
        for image, mask in zip(images, masks, strict=True)
    ]


def _add_neck(
    rng: np.random.Generator,
    tissues: dict[str, head.Volume],
    places: np.ndarray,
    depth: head.Volume,
    grid: head.Grid,
) -> None:
    """What the template lacks below the skull: muscle in fat, a spine and a throat."""
    _, _, z = places
    below = head.band(z, -400, -62, 12)
    inside = 40 * (1 - head.distance(places, (0, -12, -110), (62, 68, 200)))
    throat = head.band(6 * (1 - head.distance(places, (0, 28, -90), (11, 9, 60))), 0, 9)
    neck = below * head.band(inside, 0, 999, 1.5) * (1 - throat)
    neck = neck * (1 - head.band(depth, -1e3, -4) * below)  # the cord goes on
    grain = head.noise(rng, grid, 17)
    grain += 0.5 * head.noise(rng, grid, 6)
    spine = head.band(
        6 * (1 - head.distance(places, (0, -8, -150), (13, 11, 90))), 0, 9
    )
    lean = head.band(inside, 5, 999, 3) * head.band(grain, -0.7, 99, 0.6) * (1 - spine)
    for name, weight in tissues.items():
        tissues[name] = weight * (1 - neck) * (1 - throat * below)
    tissues["muscle"] += neck * lean * np.clip(0.85 + 0.15 * grain, 0.4, 1.2)
    tissues["marrow"] += neck * spine * 0.8
    tissues["fat"] += neck * (1 - lean) * (1 - spine)


def _grow(
    rng: np.random.Generator,
    tumour: Tumour,
    places: np.ndarray,
    depth: head.Volume,
    tissues: dict[str, head.Volume],
    grid: head.Grid,
) -> dict[str, head.Volume]:
    """Shares of each pixel: the whole tumour, its core, and what surrounds it."""
    away = (head.rotation(tumour.turns) / tumour.radii[:, None]) @ (
        places - tumour.centre[:, None, None, None]
    ).reshape(3, -1)
    radius = np.sqrt(np.square(away).sum(0)).reshape(depth.shape).astype(np.float32)
    rough = 2.2 if tumour.kind == "glioma" else 0.7
    for amount, period in ((0.09, 30), (0.05, 14), (0.02, 6)):
        radius += rough * amount * head.noise(rng, grid, period)
    soft = 0.22 if tumour.kind == "glioma" else 0.08
    whole = head.band(radius, -9, 1.0, soft)
    around = head.band(radius, -9, 1.5, 0.5) * tissues["white"]
    tail = np.zeros_like(whole)
    if tumour.kind == "meningioma":
        whole = whole * head.band(depth, -1e3, 0.5)
        tail = head.band(radius, -9, 1.4, 0.2) * head.band(depth, -3.0, 0.5)
    elif tumour.kind == "glioma":
        whole = whole * head.band(depth, -1e3, -2.5)
    core = head.band(radius, -9, 0.72, 0.2) * whole
    cleft = head.band(radius, 1.0, 1.18, 0.08) * head.band(depth, -1e3, -1)
    return {
        "whole": whole,
        "core": core,
        "around": around * (1 - whole),
        "tail": tail * (1 - whole),
        "cleft": cleft * (1 - whole) * (tumour.kind == "meningioma"),
    }


def _measure(
    rng: np.random.Generator,
    tumour: Tumour,
    tissues: dict[str, head.Volume],
    weights: dict[str, head.Volume],
    grid: head.Grid,
) -> head.Volume:
    """T1 after contrast, free of noise."""
    healthy = np.zeros_like(weights["whole"])
    for name, values in scanner.SIGNALS.items():
        healthy += np.float32(values[2] * rng.normal(1, 0.06)) * tissues[name]
    healthy += 0.015 * head.noise(rng, grid, 5) * (healthy > 0.1)
    healthy = healthy * (1 - rng.uniform(0, 0.3) * weights["around"])  # oedema
    healthy = healthy * (1 - weights["cleft"]) + 0.2 * weights["cleft"]
    healthy = healthy * (1 - weights["tail"]) + tumour.bright * weights["tail"]
    patches = 0.06 * head.noise(rng, grid, 8)
    if tumour.kind != "glioma":
        inner = tumour.bright * (1 + patches)
    else:
        dark = rng.uniform(0.25, 0.45)
        edge = tumour.bright if tumour.ring else rng.uniform(0.38, 0.5)
        uneven = np.clip(1 + 6 * patches, 0, 1.2)
        inner = dark + (edge - dark) * (1 - weights["core"]) * uneven + patches
    return (healthy * (1 - weights["whole"]) + inner * weights["whole"]).astype(
        np.float32
    )


def _scan(
    rng: np.random.Generator, signal: head.Volume, grid: head.Grid
) -> head.Volume:
    """Blur, bias field, gain and Rician noise: values in the hundreds and thousands."""
    blur, gain = rng.uniform(0.45, 0.8), rng.uniform(500, 2500)
    bias = np.exp(0.15 * head.noise(rng, grid, 110))
    clean = np.stack([cv2.GaussianBlur(one, (0, 0), blur) for one in signal]) * bias
    sigma = rng.uniform(0.008, 0.025)
    real, imaginary = rng.standard_normal((2, *clean.shape), np.float32) * sigma
    return gain * np.hypot(clean + real, imaginary)
