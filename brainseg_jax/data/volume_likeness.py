"""How alike volumes are on a coarse grid: of each sequence, and turned."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from brainseg_jax.data import profiles
from brainseg_jax.data.profiles import AIR

SIDE = 8  # voxels along each axis
Cube = Float64[np.ndarray, "side side side"]
Cubes = Float64[np.ndarray, "c side side side"]

# Of [c, z, y, x], the first as it is. A head looks the same from left to right.
TURNS: tuple[Callable[[Cubes], Cubes], ...] = (
    lambda one: one,
    lambda one: one[:, ::-1],
    lambda one: one[:, :, ::-1],
    lambda one: one[:, ::-1, ::-1],
    lambda one: one.transpose(0, 2, 1, 3),
    lambda one: one.transpose(0, 3, 2, 1),
    lambda one: one.transpose(0, 1, 3, 2),
)


def coarse(levels: Float64[np.ndarray, "z y x"]) -> Cube:
    """Means over SIDE parts of each axis."""
    for axis in range(3):
        starts = np.arange(SIDE) * levels.shape[axis] // SIDE
        count = np.maximum(np.diff([*starts, levels.shape[axis]]), 1)
        count = count.reshape([-1 if k == axis else 1 for k in range(3)])
        levels = np.add.reduceat(levels, starts, axis) / count
    return levels


def mean_of(seen: Sequence[Mapping[str, Cube]]) -> dict[str, Cube]:
    """Of each sequence over the volumes that have it."""
    names = dict.fromkeys(name for one in seen for name in one)
    return {
        name: np.mean([one[name] for one in seen if name in one], 0) for name in names
    }


def of_sequences(
    cubes: Mapping[str, Cube], means: Mapping[str, Cube]
) -> dict[str, dict[str, float]]:
    """Correlation of each sequence with the mean of each, within the head."""
    within = np.mean([*means.values()], 0) > AIR
    return {
        name: {
            other: profiles.correlation(cube[within], mean[within])
            for other, mean in means.items()
        }
        for name, cube in cubes.items()
        if name in means
    }


def turned(cubes: Mapping[str, Cube], means: Mapping[str, Cube]) -> float | None:
    """How much more all sequences are like their means in another position."""
    shared = [name for name in cubes if name in means]
    if not shared:
        return None
    ours, theirs = (np.stack([one[name] for name in shared]) for one in (cubes, means))
    upright, *others = (profiles.correlation(turn(ours), theirs) for turn in TURNS)
    return max(others) - upright
