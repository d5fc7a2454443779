"""How images, masks and volumes are stored: the feature of a shape, and what to yield."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Shaped

# What OpenCV takes for the channels of a PNG: blue comes first, alpha last.
OPENCV_ORDER = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}
PNG_TYPES = (np.uint8, np.uint16)


def feature(shape: Sequence[int | None], dtype: Any) -> tfds.features.FeatureConnector:
    """Where arrays of shape [*space, channels] are stored without loss; None: any size.

    A PNG where there is one of that kind, else the compressed bytes of the array. Those of
    a volume are left to the record's own compression (zstd): a BraTS case is written five
    times as fast so and read twice as fast, and is as small.

    Raises:
        ValueError: if the number of channels is not given.
    """
    if shape[-1] is None:
        raise ValueError(
            f"The shape {tuple(shape)} leaves the number of channels open; give it as "
            "the last number."
        )
    if _is_png(shape, dtype):
        return tfds.features.Image(shape=tuple(shape), dtype=np.dtype(dtype))
    encoding = "bytes" if len(shape) > 3 else "zlib"
    return tfds.features.Tensor(
        shape=tuple(shape), dtype=np.dtype(dtype), encoding=encoding
    )


def encode(array: Shaped[np.ndarray, "*space c"]) -> bytes | np.ndarray:
    """What a builder yields for an array, to be stored by the `feature` of its shape.

    PNG bytes rather than pixels, since TFDS encodes those through TensorFlow.

    Raises:
        ValueError: if OpenCV cannot make a PNG of it.
    """
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not _is_png(native.shape, native.dtype):
        return native
    ordered = np.ascontiguousarray(native[..., OPENCV_ORDER[native.shape[-1]]])
    done, data = cv2.imencode(".png", ordered)
    if not done:
        raise ValueError(f"OpenCV could not encode an array of shape {array.shape}.")
    return data.tobytes()


def _is_png(shape: Sequence[int | None], dtype: Any) -> bool:
    slices = len(shape) == 3 and shape[-1] in OPENCV_ORDER
    return slices and np.dtype(dtype) in PNG_TYPES
