"""Examples as they are stored: records of a prepared data set, decoded one at a time."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from brainseg_jax.data import damage, pixels

PARTS = ("image", "mask")

Read = Callable[[str, int], tuple[np.ndarray, np.ndarray]]


def open_records(builder: tfds.core.DatasetBuilder) -> Read:
    """(split, place in it) -> image [*space c] and mask [*space 1] of any dtype.

    A data set without masks has empty ones. A damaged file is a ValueError naming it.
    """
    features: Any = builder.info.features
    there = [part for part in PARTS if part in features]
    # TFDS would decode through what is installed; this way there is one decoder.
    skipped = {part: tfds.decode.SkipDecoding() for part in there}
    sources: dict[str, Any] = {}

    def read(split: str, record: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            if split not in sources:
                sources[split] = builder.as_data_source(split, decoders=skipped)
            example = sources[split][record]
            image, *masks = (
                pixels.decode(example[one], features[one]) for one in there
            )
        except damage.DAMAGE as error:
            file = _file_of(builder, split, record)
            raise damage.sentence(file, error) from error
        mask = masks[0] if masks else np.zeros((*image.shape[:-1], 1), np.uint8)
        return image, mask

    return read


def _file_of(
    builder: tfds.core.DatasetBuilder, split: str, record: int
) -> pathlib.Path:
    """The one among a split's files that holds a record."""
    info = builder.info.splits[split]
    ends = np.cumsum(info.shard_lengths)
    return pathlib.Path(info.filepaths[np.searchsorted(ends, record, side="right")])
