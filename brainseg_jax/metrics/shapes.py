"""Sizes of flat shapes as a ruler has them: perimeter, longest diameter and across it.

Shapes are arrays of pixels that are squares, or rectangles of `spacing`, down and across.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float64

Spacing = Sequence[float]
# Of four pixels that meet, how many of each kind of border run between their middles.
CORNERS = ((1,), (2,), (4,), (8,), (7,), (11,), (13,), (14,))
OPPOSITE = (6, 9)
LEVEL, UPRIGHT = (3, 12), (5, 10)


def perimeter(shape: Bool[np.ndarray, "h w"], spacing: Spacing = (1, 1)) -> float:
    """Length of all borders, those of holes too, with corners cut between pixels' middles.

    Marching squares, as PyRadiomics has it. A disc's border comes out 5 to 8 % too long;
    along the sides of pixels it would be a quarter.
    """
    height, width = spacing
    marked = np.pad(shape.astype(np.uint8), 1)
    four = marked[:-1, :-1] + 2 * marked[:-1, 1:] + 4 * marked[1:, :-1]
    kinds = np.bincount((four + 8 * marked[1:, 1:]).reshape(-1), minlength=16)
    corner = float(np.hypot(height / 2, width / 2))
    corners = kinds[np.ravel(CORNERS)].sum() + 2 * kinds[list(OPPOSITE)].sum()
    return float(
        corner * corners
        + width * kinds[list(LEVEL)].sum()
        + height * kinds[list(UPRIGHT)].sum()
    )


def diameters(
    shape: Bool[np.ndarray, "h w"], spacing: Spacing = (1, 1)
) -> tuple[float, float]:
    """The longest distance within the convex hull, and the longest at a right angle to it.

    From outer edge to outer edge of pixels: of one pixel it is the diagonal. 0, 0 of none.
    """
    hull = _hull(shape) * np.asarray(spacing, float)
    if not len(hull):
        return 0.0, 0.0
    apart = hull[:, None] - hull
    lengths = np.hypot(apart[..., 0], apart[..., 1])
    one, other = np.unravel_index(lengths.argmax(), lengths.shape)
    along = apart[one, other] / lengths[one, other]
    across = np.array([-along[1], along[0]])
    return float(lengths[one, other]), _longest_chord(hull @ along, hull @ across)


def _hull(shape: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "n 2"]:
    """Corners of the convex hull of pixels as squares: y, x, in order."""
    rows = np.flatnonzero(shape.any(1))
    if not len(rows):
        return np.zeros((0, 2))
    first = shape[rows].argmax(1)
    last = shape.shape[1] - shape[rows, ::-1].argmax(1)  # behind the last pixel
    corners = [
        (row + down, x) for down in (0, 1) for x in (first, last) for row in [rows]
    ]
    points = np.concatenate([np.stack(pair, 1) for pair in corners]).astype(np.int32)
    return cv2.convexHull(points)[:, 0].astype(float)


def _longest_chord(
    along: Float64[np.ndarray, " n"], across: Float64[np.ndarray, " n"]
) -> float:
    """Of a convex polygon's chords at one angle: the longest goes through a corner."""
    ahead, beside = np.roll(along, -1), np.roll(across, -1)
    chords = []
    for place in along:
        crossed = (np.minimum(along, ahead) <= place) & (
            place <= np.maximum(along, ahead)
        )
        run = (ahead - along)[crossed]
        flat = run == 0
        share = np.where(flat, 0, (place - along[crossed]) / np.where(flat, 1, run))
        ends = across[crossed] + share * (beside - across)[crossed]
        chords.append(ends.max() - ends.min())
    return float(max(chords))
