"""Examples as they are stored: records of a prepared data set, decoded one at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from brainseg_jax.data import pixels

PARTS = ("image", "mask")

Read = Callable[[str, int], tuple[np.ndarray, np.ndarray]]


def open_records(builder: tfds.core.DatasetBuilder) -> Read:
    """(split, place in it) -> image [*space c] and mask [*space 1] of any dtype.

    A data set without masks has empty ones.
    """
    features: Any = builder.info.features
    there = [part for part in PARTS if part in features]
    # TFDS would decode through what is installed; this way there is one decoder.
    skipped = {part: tfds.decode.SkipDecoding() for part in there}
    sources: dict[str, Any] = {}

    def read(split: str, record: int) -> tuple[np.ndarray, np.ndarray]:
        if split not in sources:
            sources[split] = builder.as_data_source(split, decoders=skipped)
        example = sources[split][record]
        image, *masks = (pixels.decode(example[one], features[one]) for one in there)
        mask = masks[0] if masks else np.zeros((*image.shape[:-1], 1), np.uint8)
        return image, mask

    return read
