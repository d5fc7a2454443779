"""A slice beside the stored ones most like it, each of another patient."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from brainseg_jax.data.sources import Source
from brainseg_jax.reports.parts import example_panels
from brainseg_jax.reports.parts.panels import Panel

Row = Mapping[str, Any]


def row_of_panels(
    image: Shaped[np.ndarray, "h w c"],
    truth: UInt8[np.ndarray, "h w 1"] | None,
    said: str,
    found: Sequence[Row],
    source: Source,
) -> list[Panel]:
    """The slice, then those found: a table's rows with `place`, `patient` and so on.

    All in grey, with the tumour in red where it is known.
    """
    nothing = np.zeros((*image.shape[:2], 1), np.uint8)
    known = nothing if truth is None else truth
    classes = source.info.classes
    panels = [Panel(example_panels.scan_with_mask(image, known, classes), said)]
    for row in found:
        stored, mask = source.read_stored(row["place"])
        picture = example_panels.scan_with_mask(stored, mask, classes)
        caption = f"{row['patient']}\n{row['class']}, {row['distance']:.4f}"
        panels.append(Panel(picture, caption))
    return panels
