"""What the published weights of a classifier expect of an image of 0 to 1."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from brainseg_jax.models.parts import options


class Preprocessing(NamedTuple):
    """(image - mean) / deviation in red, green and blue, then perhaps blue first."""

    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    blue_first: bool = False


# 0 to 255 and only centred, as the first VGG nets were trained, in Caffe.
CAFFE = Preprocessing(
    (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3, blue_first=True
)
TORCH = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def preprocess(
    image: Float[Array, "n h w c"], name: str, choices: Mapping[str, Preprocessing]
) -> Float[Array, "n h w c"]:
    """The image as `choices[name]` has it, or unchanged if that is "none".

    An image of other than three channels keeps their order, and each is treated with the
    means of the three colours' constants.
    """
    if name == "none":
        return image
    options.check_known("preprocessing", name, ("none", *choices))
    chosen, channels = choices[name], image.shape[-1]
    mean = _constants(chosen.mean, channels)
    deviation = _constants(chosen.deviation, channels)
    image = (image.astype(jnp.float32) - mean) / deviation
    return image[..., ::-1] if chosen.blue_first and channels == 3 else image


def _constants(values: tuple[float, ...], channels: int) -> np.ndarray:
    if channels != len(values):
        values = (float(np.mean(values)),) * channels
    return np.reshape(np.asarray(values, np.float32), (1, 1, 1, channels))
