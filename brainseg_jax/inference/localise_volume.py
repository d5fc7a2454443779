"""Where a scan's mask is: lesions in three dimensions, in millilitres and millimetres."""

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from brainseg_jax.data import scans
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference import localise
from brainseg_jax.inference.localise import Lesion

SIDES = ("left", "right")  # a scan's x rises from the patient's left


def lesions(labels: UInt8[np.ndarray, "z y x"], scan: Scan) -> list[Lesion]:
    """The largest first; what touches, at corners too, is one.

    Boxes are voxels of the mask's file, centres mm of its affine. Diameters are those of
    the axial slice where the lesion is largest.
    """
    parts, _ = ndimage.label(labels > 0, np.ones((3, 3, 3)))
    stored = scans.to_file_order(parts, scan)
    middle = localise.middle_of_head(scan.image.max(0))
    pairs = zip(ndimage.find_objects(parts), ndimage.find_objects(stored), strict=True)
    found = []
    for number, (own, box) in enumerate(pairs, start=1):
        shape = parts[own] == number
        largest = shape[shape.sum((1, 2)).argmax()]
        flat = localise.lengths(largest, scan.spacing[1:])
        start = [part.start for part in box]
        centre = np.argwhere(stored[box] == number).mean(0) + start
        place = scan.affine @ [*centre, 1]
        found.append(
            {
                "voxels": int(shape.sum()),
                "ml": round(float(shape.sum() * np.prod(scan.spacing)) / 1000, 4),
                "largest_slice_mm2": flat["area_mm2"],
                "diameter_mm": flat["diameter_mm"],
                "diameter_across_mm": flat["diameter_across_mm"],
                "box": {
                    **dict(zip("ijk", start, strict=True)),
                    **{
                        f"size_{axis}": part.stop - part.start
                        for axis, part in zip("ijk", box, strict=True)
                    },
                },
                "centroid": {
                    axis: round(float(mm), 2)
                    for axis, mm in zip("xyz", place[:3], strict=True)
                },
                "side": localise.side(
                    np.nonzero(shape)[2] + own[2].start, middle, SIDES
                ),
            }
        )
    return sorted(found, key=lambda one: -one["voxels"])
