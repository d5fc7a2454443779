"""A mask's surface as triangles, in mm of its scan, by scikit-image's marching cubes."""

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from brainseg_jax import files

try:
    from skimage import measure
except ImportError:
    measure: Any = None  # type: ignore[no-redef]

NEEDS_EXTRA = (
    "Meshes need scikit-image: pip install 'brainseg_jax[mesh]' (of a clone: "
    "pip install --editable '.[mesh]')."
)


class Surface(NamedTuple):
    """Triangles that turn left around the outside."""

    corners: Float64[np.ndarray, "n 3"]  # x, y, z in mm
    faces: Int64[np.ndarray, "m 3"]


def surface_of(
    marked: Bool[np.ndarray, "i j k"], affine: Float64[np.ndarray, "4 4"]
) -> Surface:
    """Halfway between voxels that are marked and not; closed at the scan's border too.

    Raises:
        ValueError: if nothing is marked, or scikit-image is not installed.
    """
    if measure is None:
        raise ValueError(NEEDS_EXTRA)
    if not marked.any():
        raise ValueError("An empty mask has no surface.")
    padded = np.pad(marked, 1).astype(np.float32)
    corners, faces, _, _ = measure.marching_cubes(padded, 0.5)
    placed = (corners - 1) @ affine[:3, :3].T + affine[:3, 3]
    mesh = Surface(placed, faces.astype(np.int64))
    if volume(mesh) < 0:  # an affine that mirrors turns triangles inside out
        mesh = mesh._replace(faces=mesh.faces[:, ::-1])
    return mesh


def volume(mesh: Surface) -> float:
    """What a closed mesh encloses, in mm3; below 0 if it is inside out."""
    one, other, third = (mesh.corners[mesh.faces[:, k]] for k in range(3))
    return float((one * np.cross(other, third)).sum() / 6)


def write_stl(path: Path, mesh: Surface) -> Path:
    """Binary STL."""
    one, other, third = (mesh.corners[mesh.faces[:, k]] for k in range(3))
    normals = np.cross(other - one, third - one)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.where(lengths > 0, lengths, 1)
    triangles = np.zeros(
        len(mesh.faces), np.dtype([("floats", "<f4", 12), ("end", "<u2")])
    )
    triangles["floats"] = np.concatenate([normals, one, other, third], 1)
    head = b"brainseg_jax, mm".ljust(80) + struct.pack("<I", len(mesh.faces))
    return files.write_atomically(path, head + triangles.tobytes())


def write_obj(path: Path, mesh: Surface) -> Path:
    """Wavefront OBJ, whose corners are counted from 1."""
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.corners]
    lines += [f"f {a} {b} {c}" for a, b, c in mesh.faces + 1]
    return files.write_atomically(path, ("\n".join(lines) + "\n").encode())


WRITERS = {"stl": write_stl, "obj": write_obj}
