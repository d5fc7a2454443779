"""Examples as they are stored: records of a prepared data set, decoded one at a time."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Num

PARTS = ("image", "mask")
# OpenCV has blue first.
RED_FIRST = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}

Read = Callable[[str, int], tuple[np.ndarray, np.ndarray]]


def open_records(builder: tfds.core.DatasetBuilder) -> Read:
    """(split, place in it) -> image [*space c] and mask [*space 1] of any dtype.

    A data set without masks has empty ones.
    """
    features: Any = builder.info.features
    # TFDS would decode through what is installed; this way there is one decoder.
    skipped = {
        part: tfds.decode.SkipDecoding()
        for part in PARTS
        if part in features and isinstance(features[part], tfds.features.Image)
    }
    sources: dict[str, Any] = {}

    def read(split: str, record: int) -> tuple[np.ndarray, np.ndarray]:
        if split not in sources:
            sources[split] = builder.as_data_source(split, decoders=skipped)
        example = sources[split][record]
        image, mask = (
            decode_png(example[part]) if part in skipped else example.get(part)
            for part in PARTS
        )
        if mask is None:
            mask = np.zeros((*image.shape[:-1], 1), np.uint8)
        return image, mask

    return read


def decode_png(png: bytes) -> Num[np.ndarray, "h w c"]:
    """Channels in the order that they were given in."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(
            "A stored image is damaged; delete the data set and rebuild it."
        )
    pixels = np.atleast_3d(pixels)
    return np.ascontiguousarray(pixels[..., RED_FIRST[pixels.shape[-1]]])
