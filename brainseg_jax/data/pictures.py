"""A slice out of a file of any format, with what its file says of its geometry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from brainseg_jax import files
from brainseg_jax.data import (
    dicom_files,
    dicom_names,
    dicom_segments,
    image_files,
    mat_files,
    pixels,
)
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.info import Info


class Picture(NamedTuple):
    """The channels that a model takes."""

    image: Shaped[np.ndarray, "h w c"]
    spacing: tuple[float, float] | None = None  # mm down and across, where known
    sides: tuple[str, str] | None = None  # the patient's, left and right of the picture
    dataset: Any = None  # of DICOM
    warnings: tuple[str, ...] = ()


def read(path: Path, info: Info) -> Picture:
    """A picture that has the channels of a model's data set, and of them those it takes.

    Raises:
        UnreadableImage: if it cannot be decoded or is not of the model's kind.
    """
    picture = _in_channels_of_its_file(path, info)
    chosen = pixels.choose_channels(picture.image, info.chosen_places)
    return picture._replace(image=chosen)


def _in_channels_of_its_file(path: Path, info: Info) -> Picture:
    channels = len(info.all_channels)
    if path.suffix.lower() == ".mat":
        picture = Picture(in_dtype(path, mat_files.read(path), info.dtype))
    elif dicom_names.is_dicom(path):
        picture = _of_dicom(path, info)
    else:
        return Picture(image_files.read_image(path, channels, info.dtype))
    image_files.check_kind(path, picture.image, channels, info.dtype)
    return picture


def _of_dicom(path: Path, info: Info) -> Picture:
    found = dicom_files.read(path)
    kind = str(found.dataset.get("Modality", "unknown"))
    return Picture(
        in_dtype(path, found.image[..., None], info.dtype),
        found.spacing,
        found.sides,
        found.dataset,
        () if kind == "MR" else (f"its modality is {kind}, not MR",),
    )


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


def write_mask(
    source: Path,
    stem: Path,
    mask: UInt8[np.ndarray, "h w"],
    picture: Picture,
    names: Mapping[int, str],
) -> Path:
    """`<stem>_mask` in the format of the `source`, with the values as they are.

    Of a JPEG it is a PNG: JPEG would change them. Of DICOM it is a segmentation, whose
    segments have the `names` of their labels.
    """
    if picture.dataset is not None:
        path = stem.with_name(f"{stem.name}_mask.dcm")
        return dicom_segments.write(path, mask[None], [picture.dataset], names)
    ending = source.suffix.lower()
    if ending == ".mat":
        return mat_files.write_mask(stem.with_name(f"{stem.name}_mask.mat"), mask)
    if ending in (".tif", ".tiff"):
        _, encoded = cv2.imencode(".tif", mask)
        path = stem.with_name(f"{stem.name}_mask{ending}")
        return files.write_atomically(path, encoded.tobytes())
    return image_files.write_mask(stem.with_name(f"{stem.name}_mask.png"), mask)
