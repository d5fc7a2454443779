"""A slice or volume beside the stored ones most like it, each of another patient."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

from brainseg_jax.data.sources import Source
from brainseg_jax.reports.parts import example_panels, planes
from brainseg_jax.reports.parts.panels import Panel

Row = Mapping[str, Any]


def row_of_panels(
    image: Shaped[np.ndarray, "*space c"],
    truth: UInt8[np.ndarray, "*space 1"] | None,
    said: str,
    found: Sequence[Row],
    source: Source,
    likely: Bool[np.ndarray, "*space"] | None = None,
) -> list[Panel]:
    """The query, then those found: a table's rows with `place`, `patient` and so on.

    All in grey, with the tumour in colour where it is known. Of a volume it is the axial
    plane with most tumour; where that is not known, with most that is `likely`.
    """
    nothing = np.zeros((*image.shape[:-1], 1), np.uint8)
    known = nothing if truth is None else truth
    where = known[..., 0] > 0 if likely is None else likely
    classes = source.info.classes
    panels = [Panel(_plane_of(image, known, where, classes), said)]
    for row in found:
        stored, mask = source.read_stored(row["place"])
        picture = _plane_of(stored, mask, mask[..., 0] > 0, classes)
        caption = f"{row['patient']}\n{row['class']}, {row['distance']:.4f}"
        panels.append(Panel(picture, caption))
    return panels


def _plane_of(
    image: Shaped[np.ndarray, "*space c"],
    mask: UInt8[np.ndarray, "*space 1"],
    marked: Bool[np.ndarray, "*space"],
    classes: Mapping[str, example_panels.Labels],
) -> UInt8[np.ndarray, "h w 3"]:
    plane = planes.choose_plane(image, marked)
    shown, painted = (np.ascontiguousarray(one[plane]) for one in (image, mask))
    return example_panels.scan_with_mask(shown, painted, classes)
