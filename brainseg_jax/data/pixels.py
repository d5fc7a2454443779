"""Pixels out of their stored form, channels in the order they are stored in."""

import zlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Shaped

# OpenCV gives the colours of three and four channels as blue, green, red.
STORED_ORDER = {3: [2, 1, 0], 4: [2, 1, 0, 3]}


def decode(
    stored: Any, feature: tfds.features.FeatureConnector
) -> Shaped[np.ndarray, "*space c"]:
    """An array that TFDS has read but, by `SkipDecoding`, not decoded.

    Raises:
        ValueError: if its bytes are damaged.
    """
    damaged = "a stored image cannot be decoded"
    if not isinstance(feature, tfds.features.Image):
        try:
            return feature.decode_example_np(stored)
        except (ValueError, zlib.error) as error:
            raise ValueError(damaged) from error
    pixels = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(damaged)
    return in_stored_order(pixels)


def in_stored_order(decoded: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "h w c"]:
    """What OpenCV has decoded, grey pictures with an axis for their one channel."""
    if decoded.ndim == 2:
        return decoded[..., None]
    channels = decoded.shape[-1]
    if channels not in STORED_ORDER:
        return decoded
    return np.ascontiguousarray(decoded[..., STORED_ORDER[channels]])


def choose_channels(
    image: Shaped[np.ndarray, "*space c"], chosen: Sequence[int]
) -> Shaped[np.ndarray, "*space k"]:
    """Those of an image's channels, in this order; the image itself if it is all."""
    if list(chosen) == list(range(image.shape[-1])):
        return image
    return np.ascontiguousarray(image[..., list(chosen)])
