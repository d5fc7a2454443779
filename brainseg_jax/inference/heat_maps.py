"""A heat map over the slice that it is of, and how much of one lies in the tumour."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

from brainseg_jax.data import image_files, profiles
from brainseg_jax.inference import outlines

OPACITY = 0.6  # where the map is hottest
TRUTH = (255, 255, 255)


def painted(
    image: Shaped[np.ndarray, "h w c"],
    heat: Float[np.ndarray, "h w"],
    truth: Bool[np.ndarray, "h w"] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Heat of 0 to 1 as colours, blue to red, over the grey image; truth as a white line.

    The hotter, the less of the image shows; where nothing is hot it is as it was.
    """
    shown = image_files.display(image_files.as_8_bits(image))
    grey = np.repeat(cv2.cvtColor(shown, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    levels = np.rint(255 * np.clip(heat, 0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_JET)[..., ::-1]
    share = OPACITY * np.clip(heat, 0, 1)[..., None]
    picture = np.rint((1 - share) * grey + share * colours).astype(np.uint8)
    if truth is None:
        return picture
    return image_files.overlay(picture, outlines.edges(truth.astype(np.uint8)), TRUTH)


def share_within(
    heat: Float[np.ndarray, "*space"], region: Bool[np.ndarray, "*space"]
) -> float:
    """Of all heat; nan where there is none."""
    whole = float(heat.sum())
    return float(heat[region].sum()) / whole if whole > 0 else np.nan


def share_by_chance(
    image: Shaped[np.ndarray, "*space c"], region: Bool[np.ndarray, "*space"]
) -> float:
    """Of heat that is spread evenly over the head: all but air, and the region.

    More than of heat spread over the whole picture, much of which is air.
    """
    head = region | ~profiles.air(image)
    return float(region.sum() / head.sum()) if head.any() else np.nan
