"""A slice and its tumour's outline at the size and in the type that are published."""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int16

from datasets.synthetic import head

BORDER_STEP = 7.0  # pixels of 512 between points of an outline


class Slice(NamedTuple):
    """One slice as it is published."""

    image: Int16[np.ndarray, "rows columns"]
    mask: Bool[np.ndarray, "rows columns"]
    border: Float64[np.ndarray, "points 2"]  # x, y in pixels, counted from 1


def finish(image: np.ndarray, mask: np.ndarray, size: int) -> Slice:
    """To the published size and type; the mask is what its outline of few points fills."""
    larger = size > head.SIZE
    method = cv2.INTER_CUBIC if larger else cv2.INTER_AREA
    pixels = cv2.resize(image, (size, size), interpolation=method)
    soft = cv2.resize(
        mask.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR
    )
    shapes, _ = cv2.findContours(
        (soft > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    outline = max(shapes, key=len).reshape(-1, 2)
    step = max(1.0, BORDER_STEP * size / 512)
    points = outline[np.arange(0, len(outline), step).astype(int)]
    filled = np.zeros((size, size), np.uint8)
    cv2.fillPoly(filled, [points], 1)
    return Slice(
        np.clip(np.rint(pixels), 0, np.iinfo(np.int16).max).astype(np.int16),
        filled > 0,
        points.astype(np.float64) + 1,
    )
