"""A mask's edges and contours over the MRI that it is of, as reference system 000 draws it.

Truth is red and prediction green where both are known, and yellow where they agree.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Integer, Shaped, UInt8

from brainseg_jax import files
from brainseg_jax.data import image_files, scan_pictures
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference.localise import Lesion

TRUTH, PREDICTION, BOTH = (255, 0, 0), (0, 255, 0), (255, 255, 0)
CANNY = (100, 200)  # any thresholds find the same edges of 0 and 255
ENLARGED = 3  # times


def edges(mask: Integer[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Canny's edges of a mask, those along the picture's border too: pixels of the mask.

    It looks at the mask enlarged, where borders are too far apart to hide one another, and
    marks one of the two pixels that meet at an edge; here it is always the mask's.
    """
    marked = np.pad((mask > 0).astype(np.uint8), 1)
    large = np.kron(marked, np.ones((ENLARGED, ENLARGED), np.uint8))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    beside = cv2.dilate(cv2.Canny(255 * large, *CANNY), cross) > 0
    inner = cv2.erode(large, cross)
    found = beside & (large > inner)
    height, width = marked.shape
    blocks = found.reshape(height, ENLARGED, width, ENLARGED)
    return np.asarray(blocks.any((1, 3)))[1:-1, 1:-1]


def contours(mask: Integer[np.ndarray, "h w"]) -> list[dict[str, Any]]:
    """Each closed line of border pixels: x, y of every one, and whether it is of a hole."""
    found, levels = cv2.findContours(
        (mask > 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    return [
        {"hole": bool(level[3] >= 0), "points": points[:, 0].tolist()}
        for points, level in zip(found, levels[0] if found else (), strict=True)
    ]


def superimpose(
    image: Shaped[np.ndarray, "h w c"],
    prediction: Integer[np.ndarray, "h w"],
    truth: Integer[np.ndarray, "h w"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Edges over the image at its own size; the image grey, so that colour means mask."""
    shown = image_files.display(image_files.as_8_bits(image))
    grey = np.repeat(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    own = edges(prediction)
    picture = image_files.overlay(grey, own, PREDICTION)
    if truth is None:
        return picture
    true = edges(truth)
    picture = image_files.overlay(picture, true, TRUTH)
    return image_files.overlay(picture, own & true, BOTH)


def write_of_scan(
    path: Path,
    scan: Scan,
    prediction: UInt8[np.ndarray, "z y x"],
    truth: UInt8[np.ndarray, "z y x"],
) -> Path:
    """Edges over the three planes with most true tumour; predicted, where there is none."""
    masks = (truth, prediction) if truth.any() else (prediction, truth)
    pictures = []
    for plane in scan_pictures.planes(scan, *masks):
        true, found = plane.masks if truth.any() else plane.masks[::-1]
        pictures.append(superimpose(plane.grey[..., None], found, true))
    return scan_pictures.write_side_by_side(path, pictures)


def write(
    stem: Path,
    image: Shaped[np.ndarray, "h w c"],
    prediction: Integer[np.ndarray, "h w"],
    found: list[Lesion],
    truth: Integer[np.ndarray, "h w"] | None = None,
) -> dict[str, Any]:
    """`<stem>_contours.png` and `.json`; gives what the JSON says."""
    height, width = prediction.shape
    said = {
        "width": width,
        "height": height,
        "lesions": found,
        "contours": contours(prediction),
        **({} if truth is None else {"true_contours": contours(truth)}),
    }
    picture = superimpose(image, prediction, truth)
    image_files.write_png(stem.with_name(f"{stem.name}_contours.png"), picture)
    compact = json.dumps(said, allow_nan=False).encode()
    files.write_atomically(stem.with_name(f"{stem.name}_contours.json"), compact)
    return said
