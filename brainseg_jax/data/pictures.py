"""A slice out of a file of any format, with what its file says of its geometry."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from brainseg_jax import files
from brainseg_jax.data import image_files, mat_files, pixels
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.info import Info


class Picture(NamedTuple):
    """The channels that a model takes."""

    image: Shaped[np.ndarray, "h w c"]
    spacing: tuple[float, float] | None = None  # mm down and across, where known


def read(path: Path, info: Info) -> Picture:
    """A picture that has the channels of a model's data set, and of them those it takes.

    Raises:
        UnreadableImage: if it cannot be decoded or is not of the model's kind.
    """
    channels = len(info.all_channels)
    if path.suffix.lower() == ".mat":
        image = in_dtype(path, mat_files.read(path), info.dtype)
        image_files.check_kind(path, image, channels, info.dtype)
    else:
        image = image_files.read_image(path, channels, info.dtype)
    return Picture(pixels.choose_channels(image, info.chosen_places))


def in_dtype(
    path: Path, image: Shaped[np.ndarray, "h w c"], dtype: str
) -> Shaped[np.ndarray, "h w c"]:
    """The same numbers in the type of the training images, which has to hold them all."""
    with np.errstate(invalid="ignore"):
        found = image.astype(dtype)
    if not (found == image).all():
        raise UnreadableImage(
            f"{path} has values from {image.min():g} to {image.max():g} ({image.dtype}), "
            f"which {dtype}, the kind of the training images, cannot hold. Export it with "
            "the intensity window of the training images."
        )
    return found


def write_mask(source: Path, stem: Path, mask: UInt8[np.ndarray, "h w"]) -> Path:
    """`<stem>_mask` in the format of the `source`, with the values as they are.

    Of a JPEG it is a PNG: JPEG would change them.
    """
    ending = source.suffix.lower()
    if ending == ".mat":
        return mat_files.write_mask(stem.with_name(f"{stem.name}_mask.mat"), mask)
    if ending in (".tif", ".tiff"):
        _, encoded = cv2.imencode(".tif", mask)
        path = stem.with_name(f"{stem.name}_mask{ending}")
        return files.write_atomically(path, encoded.tobytes())
    return image_files.write_mask(stem.with_name(f"{stem.name}_mask.png"), mask)
