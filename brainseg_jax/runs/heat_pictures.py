"""Heat of an example as pictures: of a slice one, of a volume two of its axial planes."""

import pathlib
from typing import Any, NamedTuple

import numpy as np

from brainseg_jax.data import image_files
from brainseg_jax.inference import heat_maps
from brainseg_jax.reports.parts import planes
from brainseg_jax.reports.parts.planes import Plane
from brainseg_jax.runs.explaining import Explained
from brainseg_jax.runs.queries import Query


class Drawn(NamedTuple):
    """Columns of the table, and the first picture with what it is of."""

    row: dict[str, Any]
    picture: np.ndarray
    plane: Plane  # of the example; () of a slice


def write(stem: pathlib.Path, query: Query, found: Explained) -> Drawn:
    """`<stem>_heat.png`; of a volume the plane with most tumour, true or else marked.

    And of a volume `<stem>_hottest.png`, the plane with most heat.
    """
    plane = planes.choose_plane(query.image, _tumour(query, found))
    picture = _painted(query, found.heat, plane)
    row: dict[str, Any] = {"picture": _written(stem, "heat", picture)}
    if plane:
        hottest = planes.choose_plane(query.image, found.heat)
        name = _written(stem, "hottest", _painted(query, found.heat, hottest))
        row |= {"plane": plane[0], "hottest": name, "hottest_plane": hottest[0]}
    return Drawn(row, picture, plane)


def _tumour(query: Query, found: Explained) -> np.ndarray:
    """[*space]: where it is in truth, or by the mask; nowhere if neither is known."""
    if query.truth is not None and query.truth.any():
        return query.truth[..., 0] > 0
    nothing = np.zeros(query.image.shape[:-1], bool)
    return nothing if found.marked is None else found.marked


def _painted(query: Query, heat: np.ndarray, plane: Plane) -> np.ndarray:
    truth = None if query.truth is None else query.truth[plane][..., 0] > 0
    image = np.ascontiguousarray(query.image[plane])
    return heat_maps.painted(image, heat[plane], truth)


def _written(stem: pathlib.Path, suffix: str, picture: np.ndarray) -> str:
    path = stem.with_name(f"{stem.name}_{suffix}.png")
    return image_files.write_png(path, picture).name
