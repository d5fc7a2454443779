"""How it is stored where a volume's box lies: what brings back the file's own array."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from datasets import pixels
from datasets.grids import Place


def features() -> dict[str, tfds.features.FeatureConnector]:
    """By name; README.md of brats2021 says what each is."""
    return {
        "offset": pixels.feature((3,), np.int32),
        "full_shape": pixels.feature((3,), np.int32),
        "spacing": pixels.feature((3,), np.float64),
        "affine": pixels.feature((4, 4), np.float64),
        "axes": tfds.features.Text(),
    }


def values(place: Place) -> dict[str, Any]:
    """What a builder yields for them."""
    return {
        "offset": np.array(place.offset, np.int32),
        "full_shape": np.array(place.full_shape, np.int32),
        "spacing": np.array(place.spacing),
        "affine": place.affine,
        "axes": place.axes,
    }
