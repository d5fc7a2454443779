"""Examples as they are stored: records of a prepared data set, decoded one at a time."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from brainseg_jax.data import damage, pixels

PARTS = ("image", "mask")

Read = Callable[[str, int], tuple[np.ndarray, np.ndarray]]
ReadFeatures = Callable[[str, int], dict[str, Any]]


def open_records(builder: tfds.core.DatasetBuilder) -> Read:
    """(split, place in it) -> image [*space c] and mask [*space 1] of any dtype.

    A data set without masks has empty ones. A damaged file is a ValueError naming it.
    """
    read_features = open_features(builder, PARTS)

    def read(split: str, record: int) -> tuple[np.ndarray, np.ndarray]:
        example = read_features(split, record)
        image = example["image"]
        empty = np.zeros((*image.shape[:-1], 1), np.uint8)
        return image, example.get("mask", empty)

    return read


def open_features(
    builder: tfds.core.DatasetBuilder, names: Sequence[str]
) -> ReadFeatures:
    """(split, place in it) -> those of the named features that there are.

    Arrays are decoded, all else is as TFDS gives it; what is not named costs nothing. A
    damaged file is a ValueError naming it.
    """
    features: Any = builder.info.features
    arrays = [name for name in features if _is_array(features[name])]
    # TFDS would decode through what is installed; this way there is one decoder.
    skipped = {name: tfds.decode.SkipDecoding() for name in arrays}
    sources: dict[str, Any] = {}

    def read(split: str, record: int) -> dict[str, Any]:
        try:
            if split not in sources:
                sources[split] = builder.as_data_source(split, decoders=skipped)
            example = sources[split][record]
            return {
                name: pixels.decode(example[name], features[name])
                if name in arrays
                else example[name]
                for name in names
                if name in features
            }
        except damage.DAMAGE as error:
            file = _file_of(builder, split, record)
            raise damage.sentence(file, error) from error

    return read


def _is_array(feature: Any) -> bool:
    """Texts, labels and scalars are tensors to TFDS, too, without an axis."""
    return isinstance(feature, tfds.features.Image | tfds.features.Tensor) and bool(
        feature.shape
    )


def _file_of(
    builder: tfds.core.DatasetBuilder, split: str, record: int
) -> pathlib.Path:
    """The one among a split's files that holds a record."""
    info = builder.info.splits[split]
    ends = np.cumsum(info.shard_lengths)
    return pathlib.Path(info.filepaths[np.searchsorted(ends, record, side="right")])
