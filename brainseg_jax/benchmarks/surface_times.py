"""Surface distances of one BraTS volume, beside plain SciPy and surface-distance."""

import functools
import importlib
import importlib.util
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from brainseg_jax.benchmarks import timing
from brainseg_jax.metrics import surface_distances

SHAPE = (155, 240, 240)
SPACING = (1.0, 1.0, 1.0)
BUDGET = 1.0  # seconds of rounds for masks, beyond the least number of rounds
PEER = "surface_distance"
CAPTION = (
    "HD95, average and normalised distance of two masks of 155x240x240 voxels, ms, medians "
    "over rounds in turns. SciPy has no box: it takes the whole volume, as medpy and MONAI "
    "do where nobody cuts it."
)


def measure() -> list[dict[str, str]]:
    """A row for each pair of masks, a column for each way and convention."""
    rows = []
    for name, (pred, truth) in pairs().items():
        tasks: dict[str, Callable[[], object]] = {
            "JAX, max_directed": functools.partial(_ours, pred, truth, "max_directed"),
            "SciPy, max_directed": functools.partial(_scipys, pred, truth),
            "JAX, area_weighted": functools.partial(
                _ours, pred, truth, "area_weighted"
            ),
        }
        if importlib.util.find_spec(PEER):
            tasks["surface-distance"] = functools.partial(_theirs, pred, truth)
        spreads = timing.measure(tasks, BUDGET)
        cells = {what: f"{1e3 * one.median:.0f}" for what, one in spreads.items()}
        rows.append({"masks": name, **cells})
    return rows


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A tumour of 5 cm and its prediction; the same, and specks in opposite corners."""
    truth, pred = _ball((0.52, 0.42, 0.38), 0.11), _ball((0.53, 0.42, 0.39), 0.1)
    specks = pred.copy()
    specks[2, 3, 2] = specks[-3, -2, -3] = True
    return {"one tumour": (pred, truth), "with far specks": (specks, truth)}


def _ball(middle: tuple[float, ...], reach: float) -> np.ndarray:
    """`middle` and `reach` are shares of the volume's sizes, and of its last."""
    grid, shape = np.indices(SHAPE, np.float32), np.array(SHAPE)
    ways = [axis - at for axis, at in zip(grid, shape * middle, strict=True)]
    return sum(way**2 for way in ways) < (reach * SHAPE[-1]) ** 2


def _ours(pred: np.ndarray, truth: np.ndarray, convention: str) -> object:
    return surface_distances.score(
        pred, truth, SPACING, convention=convention, tolerance=1.0, empty="nan"
    )


def _scipys(pred: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (truth, pred)]
    far = [ndimage.distance_transform_edt(~border, SPACING) for border in borders]
    ways = far[1][borders[0]], far[0][borders[1]]
    both = np.concatenate(ways)
    hd95 = max(np.percentile(one, 95) for one in ways)
    return float(hd95), float(both.mean()), float((both <= 1).mean())


def _theirs(pred: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    peer = importlib.import_module(PEER)
    found = peer.compute_surface_distances(truth, pred, SPACING)
    return (
        peer.compute_robust_hausdorff(found, 95),
        *peer.compute_average_surface_distance(found),
        peer.compute_surface_dice_at_tolerance(found, 1.0),
    )
