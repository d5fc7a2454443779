"""How much surface there is at a corner between voxels, by which of them are of a mask.

Eight voxels meet at a corner of a volume, four at one of a slice. Their code has a bit for
each, the highest for the lowest indices, the lowest for the highest. The triangles of
marching cubes are those of the table of DeepMind's surface-distance (Apache-2.0), of which
sizes alone are kept: for each triangle of a code its extent across each axis, in eighths
of a voxel's face. Codes of what is and of what is not of a mask have the same triangles.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

TRIANGLES = """
000 111 111 220+220 111 202+202 111+111 111+222+400 111 111+111 202+202 111+222+400
220+220 111+222+400 111+222+400 400+400 111 022+022 111+111 040+111+222 111+111
004+111+222 111+111+111 111+111+222+222 111+111 022+022+111 111+202+202
022+111+202+333 111+220+220 022+111+220+333 111+111+222+400 111+222+400 111 111+111
022+022 040+111+222 111+111 111+202+202 022+022+111 022+111+202+333 111+111
111+111+111 004+111+222 111+111+222+222 111+220+220 111+111+222+400 022+111+220+333
111+222+400 220+220 040+111+222 040+111+222 040+040 111+220+220 111+202+220+333
040+111+111+222 040+111+222 111+220+220 040+111+111+222 111+202+220+333 040+111+222
220+220+220+220 111+220+220 111+220+220 220+220 111 111+111 111+111 111+220+220
022+022 004+111+222 022+022+111 022+111+220+333 111+111 111+111+111 111+202+202
111+111+222+400 040+111+222 111+111+222+222 022+111+202+333 111+222+400 202+202
004+111+222 111+202+202 111+202+220+333 004+111+222 004+004 004+111+111+222
004+111+222 111+202+202 004+111+111+222 202+202+202+202 111+202+202 111+202+220+333
004+111+222 111+202+202 202+202 111+111 111+111+111 022+022+111 040+111+111+222
022+022+111 004+111+111+222 022+022+022+022 022+022+111 111+111+111 111+111+111+111
004+111+111+222 111+111+111 040+111+111+222 111+111+111 022+022+111 111+111
111+222+400 111+111+222+222 022+111+202+333 040+111+222 022+111+220+333 004+111+222
022+022+111 022+022 111+111+222+400 111+111+111 111+202+202 111+111 111+220+220
111+111 111+111 111
"""  # of codes 0 to 127; 255 to 128 are the same


def areas(spacing: Sequence[float]) -> Float[np.ndarray, " 256"]:
    """Of each code of a volume, in the unit of the spacing squared."""
    x, y, z = spacing
    faces = np.array([y * z, x * z, x * y])
    half = [
        sum(
            float(np.linalg.norm(faces * [int(digit) / 8 for digit in triangle]))
            for triangle in code.split("+")
        )
        for code in TRIANGLES.split()
    ]
    return np.array([*half, *reversed(half)])


def lengths(spacing: Sequence[float]) -> Float[np.ndarray, " 16"]:
    """Of each code of a slice, in the unit of the spacing."""
    down, across = spacing
    corner = float(np.hypot(down, across)) / 2
    half = [0.0, corner, corner, across, corner, down, 2 * corner, corner]
    return np.array([*half, *reversed(half)])
