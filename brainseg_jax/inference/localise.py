"""Where a mask is: its lesions, each with box, area, perimeter, diameters, centre and side.

A lesion is what touches, at corners too, of whatever label. Lengths are in mm where the
spacing of pixels is known, else in pixels, and their names say which.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Integer, Shaped
from scipy import ndimage

from brainseg_jax.metrics import shapes

Lesion = dict[str, Any]
OF_PICTURE = ("picture left", "picture right")  # whose left it is nobody knows
AIR = 0.1
OF_PATIENT = ("right", "left")  # as radiologists look at slices


def lesions(
    mask: Integer[np.ndarray, "h w"],
    spacing: Sequence[float] | None = None,
    *,
    middle: float | None = None,
    sides: tuple[str, str] = OF_PICTURE,
) -> list[Lesion]:
    """The largest first. Places are pixels from the upper left, whose middles are whole.

    `spacing` is in mm, down and across; `middle` is the head's middle along x, by default
    the picture's; `sides` are what lies to the left and to the right of it.
    """
    parts, _ = ndimage.label(mask > 0, np.ones((3, 3)))
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        shape = parts[rows, columns] == number
        y, x = np.nonzero(shape)
        y, x = y + rows.start, x + columns.start
        found.append(
            {
                "pixels": int(shape.sum()),
                **lengths(shape, spacing),
                "box": {
                    "left": columns.start,
                    "top": rows.start,
                    "width": columns.stop - columns.start,
                    "height": rows.stop - rows.start,
                },
                "centroid": {"x": _rounded(x.mean()), "y": _rounded(y.mean())},
                "side": side(x, middle_of(mask) if middle is None else middle, sides),
            }
        )
    return sorted(found, key=lambda one: -one["pixels"])


def lengths(
    shape: Bool[np.ndarray, "h w"], spacing: Sequence[float] | None
) -> dict[str, float]:
    """Area, perimeter and the two diameters of a flat shape, named by their unit."""
    unit, square = ("pixels", "pixels") if spacing is None else ("mm", "mm2")
    height, width = spacing or (1.0, 1.0)
    longest, across = shapes.diameters(shape, (height, width))
    around = shapes.perimeter(shape, (height, width))
    return {
        f"area_{square}": _rounded(float(shape.sum()) * height * width),
        f"perimeter_{unit}": _rounded(around),
        f"diameter_{unit}": _rounded(longest),
        f"diameter_across_{unit}": _rounded(across),
    }


def area(
    shape: Bool[np.ndarray, "h w"], spacing: Sequence[float] | None
) -> dict[str, float]:
    """In mm2; nothing where the spacing is not known, for pixels are counted anyway."""
    if spacing is None:
        return {}
    return {"area_mm2": _rounded(float(shape.sum()) * spacing[0] * spacing[1])}


def side(
    x: Integer[np.ndarray, " n"], middle: float, sides: tuple[str, str] = OF_PICTURE
) -> str:
    """The side of the middle that most pixels are on; "middle" where both have as many."""
    before, behind = int((x < middle).sum()), int((x > middle).sum())
    if before == behind:
        return "middle"
    return sides[0] if before > behind else sides[1]


def middle_of(image: Shaped[np.ndarray, "h w *c"]) -> float:
    """The middle column of a picture."""
    return (image.shape[1] - 1) / 2


def middle_of_head(image: Shaped[np.ndarray, "h w c"]) -> float:
    """The mean column of what is not air; the picture's middle, if all is alike.

    Air is darker than AIR of the way to the brightest hundredth, whatever a tumour is. A
    few bright pixels beside the head do not move the mean, as they would an extent.
    """
    grey = image.astype(np.float32).mean(-1)
    low, high = grey.min(), np.percentile(grey, 99)
    columns = np.nonzero(grey > low + AIR * (high - low))[1]
    if not high > low or not len(columns):
        return middle_of(image)
    return float(columns.mean())


def summary(found: Sequence[Lesion]) -> dict[str, Any]:
    """Columns of a table: how many lesions, their boxes, the centre of all together.

    The side is the largest one's.
    """
    boxes = [" ".join(map(str, one["box"].values())) for one in found]
    row: dict[str, Any] = {"lesions": len(found), "boxes": ";".join(boxes)}
    if not found:
        return {**row, "centroid": "", "side": ""}
    weights = [one["pixels" if "pixels" in one else "voxels"] for one in found]
    centre = {
        axis: np.average([one["centroid"][axis] for one in found], weights=weights)
        for axis in found[0]["centroid"]
    }
    return {
        **row,
        "centroid": " ".join(f"{value:.1f}" for value in centre.values()),
        "side": found[0]["side"],
    }


def flat(lesion: Lesion) -> dict[str, Any]:
    """A lesion as a row of a table: box_left, centroid_x and so on."""
    row: dict[str, Any] = {}
    for name, value in lesion.items():
        if isinstance(value, dict):
            row |= {f"{name}_{part}": one for part, one in value.items()}
        else:
            row[name] = value
    return row


def _rounded(value: float) -> float:
    return round(float(value), 3)
