"""Surfaces of masks: closed, as large as the mask, and where it is."""

import struct

import numpy as np
import pytest

from brainseg_jax.data import meshes


def ball(radius, size=40):
    z, y, x = np.indices((size,) * 3) - size // 2
    return x**2 + y**2 + z**2 <= radius**2


def edges_of(faces):
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return {tuple(pair) for pair in pairs.tolist()}, len(pairs)


AFFINES = {
    "oblique": np.array(
        [[0, -2.0, 0, 5], [1.0, 0, 0, -3], [0, 0, 3.0, 8], [0, 0, 0, 1]]
    ),
    "mirrored": np.diag([-1.0, 1.0, 2.0, 1.0]),
}


@pytest.mark.parametrize("name", AFFINES)
def test_a_surface_is_closed_and_of_the_masks_volume(name):
    affine, marked = AFFINES[name], ball(12)
    marked[:, :, :20] = False  # a half, and one that is flat
    made = meshes.surface_of(marked, affine)
    edges, count = edges_of(made.faces)
    # Every edge once in each direction: closed, and turned one way.
    assert len(edges) == count and {pair[::-1] for pair in edges} == edges
    mm3 = marked.sum() * abs(np.linalg.det(affine[:3, :3]))
    assert meshes.volume(made) == pytest.approx(mm3, rel=0.03)  # corners are cut
    middle = affine @ [*np.argwhere(marked).mean(0), 1]
    np.testing.assert_allclose(made.corners.mean(0), middle[:3], atol=3)


def test_a_mask_at_the_border_is_closed_there():
    made = meshes.surface_of(np.ones((6, 6, 6), bool), np.eye(4))
    edges, count = edges_of(made.faces)
    assert len(edges) == count and {pair[::-1] for pair in edges} == edges
    assert made.corners.min() == -0.5 and made.corners.max() == 5.5


def test_both_formats_hold_the_same_triangles(tmp_path):
    made = meshes.surface_of(ball(3, 9), np.eye(4))
    stl = meshes.write_stl(tmp_path / "a.stl", made).read_bytes()
    (count,) = struct.unpack("<I", stl[80:84])
    assert count == len(made.faces) and len(stl) == 84 + 50 * count
    first = np.frombuffer(stl[84 : 84 + 48], "<f4").reshape(4, 3)
    np.testing.assert_allclose(first[1:], made.corners[made.faces[0]], atol=1e-5)
    normal = np.cross(first[2] - first[1], first[3] - first[1])
    np.testing.assert_allclose(first[0], normal / np.linalg.norm(normal), atol=1e-5)
    lines = meshes.write_obj(tmp_path / "a.obj", made).read_text().splitlines()
    corners = np.array([line.split()[1:] for line in lines if line[0] == "v"], float)
    faces = np.array([line.split()[1:] for line in lines if line[0] == "f"], int)
    np.testing.assert_allclose(corners, made.corners, atol=1e-4)
    np.testing.assert_array_equal(faces - 1, made.faces)


def test_an_empty_mask_and_a_missing_library_are_told(monkeypatch):
    with pytest.raises(ValueError, match="no surface"):
        meshes.surface_of(np.zeros((3, 3, 3), bool), np.eye(4))
    monkeypatch.setattr(meshes, "measure", None)
    with pytest.raises(ValueError, match=r"\[mesh\]"):
        meshes.surface_of(ball(3, 9), np.eye(4))
