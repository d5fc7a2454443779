"""Masks over MRI: what is true and what was predicted, side by side."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from brainseg_jax.reports.parts import class_legend, example_panels, figures
from brainseg_jax.reports.parts.example_panels import Labels

TRUTH, PREDICTION = example_panels.LONE, (0, 255, 0)
HEADINGS = (
    "MRI",
    "Original mask",
    "Predicted mask",
    "MRI with\noriginal mask",
    "MRI with\npredicted mask",
)
MARGIN, GAP = 0.08, 0.06  # inches, around and between panels


class Slice(NamedTuple):
    """A row of `five_panels`: an image, its two masks, and what to say about them."""

    label: str  # such as "best · TCGA_CS_4941 slice 12 · Dice 0.91"
    image: UInt8[np.ndarray, "h w c"]
    truth: UInt8[np.ndarray, "h w 1"]  # labels
    prediction: UInt8[np.ndarray, "h w 1"]


def five_panels(
    rows: Sequence[Slice],
    path: str | Path,
    *,
    classes: Mapping[str, Labels],
    title: str = "Predictions",
    note: str = "",
) -> Path:
    """MRI, both masks, and each mask over the MRI.

    The truth of a lone class is red, its prediction green; of several, each has a colour
    for both, which a legend names.

    Raises:
        ValueError: if there is no slice.
    """
    if not rows:
        raise ValueError(f"{path}: there is no slice to draw.")
    side = (figures.WIDTH - 2 * MARGIN - 4 * GAP) / 5
    labels = [textwrap.fill(row.label, 100) for row in rows]
    label_heights = [0.12 + 0.16 * (1 + label.count("\n")) for label in labels]
    legend = class_legend.height(classes)
    body = 0.36 + sum(label_heights) + side * len(rows) + MARGIN + legend
    with figures.page(path, title, note, body) as figure:
        # Placed by hand: an automatic layout spreads images of a fixed shape unevenly.
        figure.set_layout_engine("none")
        height = figure.get_figheight()
        y = body - 0.36
        for number, heading in enumerate(HEADINGS):
            centre = (MARGIN + side / 2 + number * (side + GAP)) / figures.WIDTH
            figure.text(centre, y / height, heading, ha="center", va="bottom")
        for row, label, label_height in zip(rows, labels, label_heights, strict=True):
            y -= label_height
            figure.text(
                MARGIN / figures.WIDTH,
                (y + 0.05) / height,
                label,
                va="bottom",
                weight="bold",
            )
            y -= side
            for number, picture in enumerate(_five_pictures(row, classes)):
                x = MARGIN + number * (side + GAP)
                place = (x / figures.WIDTH, y / height)
                box = (*place, side / figures.WIDTH, side / height)
                axes = figure.add_axes(box, facecolor="black", xticks=[], yticks=[])
                axes.imshow(picture, interpolation="nearest")
                axes.spines[:].set_visible(False)
        class_legend.draw(figure, classes)
    return Path(path)


def _five_pictures(row: Slice, classes: Mapping[str, Labels]) -> list[np.ndarray]:
    """The scan is grey under a mask, so that colour means mask."""
    mri = figures.brightened(row.image)
    grey = example_panels.grey(mri)
    masks = row.truth, row.prediction
    return [
        mri,
        *(example_panels.painted_mask(mask, classes) for mask in masks),
        *(
            example_panels.tinted(grey, mask, classes, lone=colour)
            for mask, colour in zip(masks, (TRUTH, PREDICTION), strict=True)
        ),
    ]
