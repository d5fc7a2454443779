"""A synthetic head: which tissue lies where, in slices.

The brain is the MNI152 template that nilearn ships, posed and warped anew for each
subject; skull, scalp and face, which the template lacks, are layers around it.
"""

import functools
import importlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32
from scipy import ndimage

SIZE = 256
LOWEST, HIGHEST = -42.0, 78.0  # mm in template space: cerebellum to vertex
LEVEL = -8.0  # mm in template space: the middle of coronal and sagittal slices
Volume = Float32[np.ndarray, "slices rows columns"]


class Grid(NamedTuple):
    """Parallel slices of square pixels."""

    slices: int
    thickness: float  # mm from one to the next
    size: int = SIZE  # rows and columns
    pixel: float = 1.0  # mm, about


class Template(NamedTuple):
    """Maps at 1 mm, but `depth` at 2: mm from the inside of the skull, negative within."""

    grey: Float32[np.ndarray, "x y z"]
    white: Float32[np.ndarray, "x y z"]
    halo: Float32[np.ndarray, "x y z"]
    depth: Float32[np.ndarray, "x y z"]
    origin: Float32[np.ndarray, "3"]


@functools.cache
def template() -> Template:
    """The head that every subject is a variation of, from files in nilearn's package."""
    # It takes seconds to import, and what only reads real files needs none of it.
    nilearn_datasets = importlib.import_module("nilearn.datasets")
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


def place_head(
    rng: np.random.Generator,
    heights: Float32[np.ndarray, "slices"],
    grid: Grid,
    plane: str = "axial",
    pixel: float | None = None,
) -> Float32[np.ndarray, "3 slices rows columns"]:
    """Where in the template each pixel lies (mm): pose, size, and a smooth warp.

    Args:
        heights: of the slices (mm), along the axis that the plane cuts: z, and y for
            coronal or x for sagittal ones.
        pixel: size in mm; None: as drawn, which makes heads of several sizes.
    """
    pixel = rng.uniform(0.78, 0.98) if pixel is None else pixel
    across = (np.arange(grid.size, dtype=np.float32) - grid.size / 2) * pixel
    shift = rng.uniform(-8, 8, 2)
    if plane == "axial":
        z, y, x = np.meshgrid(heights, -across, across, indexing="ij")
    elif plane == "coronal":
        y, z, x = np.meshgrid(heights, LEVEL - across, across, indexing="ij")
    else:
        x, z, y = np.meshgrid(heights, LEVEL - across, -across, indexing="ij")
    straight = np.stack([x + shift[0], y + shift[1], z])
    turns = np.deg2rad(rng.normal(0, [4, 3, 4]))
    scales = rng.normal(1.0, 0.04, 3)
    matrix = (rotation(turns) / scales).astype(np.float32)
    middle = np.array([0, 0, 18], np.float32)[:, None, None, None]  # turn about it
    places = np.einsum("ij,jzyx->izyx", matrix, straight - middle)
    for axis in range(3):
        places[axis] += 2.6 * noise(rng, grid, 110)
        places[axis] += 1.2 * noise(rng, grid, 30)
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


def sample(volume: np.ndarray, places: np.ndarray, step: int = 1) -> Volume:
    """The template's map at places in mm, linearly; its edge value beyond the edge."""
    origin = template().origin[:, None, None, None]
    return ndimage.map_coordinates(
        volume, (places - origin) / step, order=1, mode="nearest"
    )


def noise(rng: np.random.Generator, grid: Grid, period: float) -> Volume:
    """Smooth noise of unit size whose bumps are about `period` mm wide."""
    across = int(np.ceil(grid.size * grid.pixel / period)) + 3
    # Slices further apart than a bump is wide have nothing to do with each other.
    along = grid.slices
    if grid.thickness < period:
        along = max(2, int(np.ceil(grid.slices * grid.thickness / period)) + 1)
    coarse = rng.standard_normal((along, across * across), np.float32)
    levels = np.asarray(cv2.resize(coarse, (across * across, grid.slices)))
    planes = levels.reshape(grid.slices, across, across)
    fine = [
        cv2.resize(one, (grid.size, grid.size), interpolation=cv2.INTER_CUBIC)
        for one in planes
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
    rng: np.random.Generator, places: np.ndarray, depth: Volume, grid: Grid
) -> dict[str, Volume]:
    """The share of each tissue in each pixel, and of the `halo` around ventricles."""
    inside = band(depth, -1e3, 0.0)
    brain = find_brain(rng, places, depth, grid, inside)
    return brain | find_coverings(rng, places, depth, grid, 1 - inside)


def find_brain(
    rng: np.random.Generator,
    places: np.ndarray,
    depth: Volume,
    grid: Grid,
    inside: Volume,
) -> dict[str, Volume]:
    """Tissues within the skull; the template's, with sulci of the subject's own."""
    x, _, z = places
    grey, white = sample(template().grey, places), sample(template().white, places)
    # The template's cortex is an average over many, and blurred. These sulci run along
    # the zero lines of smooth noise, which wind as sulci do.
    sulci = np.clip(1 - 3.2 * np.abs(noise(rng, grid, 13)), 0, 1)
    sulci = sulci * band(depth, -15, 2, 5) * rng.uniform(0.5, 1.0)
    grey, white = grey * (1 - sulci), white * (1 - 0.8 * sulci)
    total = np.maximum(grey + white, 1.0)
    sinus = inside * band(depth, -6, 0) * np.exp(-np.square(x / 3.5)) * band(z, 0, 200)
    grey, white = (inside * part / total * (1 - sinus) for part in (grey, white))
    fluid = np.clip(inside - sinus - grey - white, 0, 1)
    halo = sample(template().halo, places) * white
    return {"white": white, "grey": grey, "fluid": fluid, "sinus": sinus, "halo": halo}


def find_coverings(
    rng: np.random.Generator,
    places: np.ndarray,
    depth: Volume,
    grid: Grid,
    outside: Volume,
) -> dict[str, Volume]:
    """Bone with marrow, scalp, and below the forehead a face with eyes and air."""
    x, _, z = places
    bone_end = rng.uniform(5.0, 8.0) + 0.7 * noise(rng, grid, 40)
    skin_end = bone_end + rng.uniform(3, 7) + 0.7 * noise(rng, grid, 80)
    skull = band(depth - bone_end, -1e3, 0) * outside
    marrow = skull * band((depth - 0.5 * bone_end) / 1.6, -0.5, 0.5, 0.6)
    face = 48 * (1 - distance(places, (0, 50, -50), (62, 50, 52)))
    eyes = np.zeros_like(depth)
    for side in (-31, 31):
        eyes += band(1 - distance(places, (side, 66, -30), (12, 12, 12)), 0, 9, 0.1)
    eyes *= outside
    scalp = np.maximum(band(depth - skin_end, -1e3, 0, 1.5), band(face, 0, 1e3, 1.5))
    scalp = scalp * outside * (1 - skull) * (1 - eyes)
    # Low down, muscle and air in patches take the place of fat.
    patches = noise(rng, grid, 11)
    low = np.maximum(band(z, -200, -15, 25), band(face, 7, 99, 5))
    lean = low * band(patches, -0.9, 9, 0.5)
    air = band(face, 8, 99, 4) * band(patches, 0.5, 9, 0.4) * band(x, -26, 26, 6)
    scalp = scalp * (1 - air)
    return {
        "bone": skull - marrow,
        "marrow": marrow * rng.uniform(0.3, 1.0),
        "fat": scalp * (1 - lean),
        "muscle": scalp * lean,
        "eyes": eyes,
    }
