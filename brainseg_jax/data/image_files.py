"""Prediction inputs and outputs as files: pictures found, grouped, read and written."""

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from absl import logging
from jaxtyping import Bool, Shaped, UInt8

from brainseg_jax import files
from brainseg_jax.data import decoding, dicom_names, modalities
from brainseg_jax.data.decoding import UnreadableImage

ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".mat", *dicom_names.ENDINGS)
READABLE = ", ".join((*ENDINGS, *modalities.ENDINGS))  # scans, too
FOLDS_FILE = "cvind.mat"  # of the figshare set, among its slices
LOW, HIGH = 1, 99.5  # percentiles that become black and white


def expand(paths: Sequence[str]) -> list[str]:
    """Patterns with `*`, `?` or `[...]`, which no shell has replaced, as what they match.

    Raises:
        FileNotFoundError: if a pattern matches nothing.
    """
    found = []
    for path in paths:
        if glob.has_magic(path) and not Path(path).exists():
            matching = sorted(glob.glob(path, recursive=True))
            if not matching:
                raise FileNotFoundError(f"Nothing matches {path}.")
            found += matching
        else:
            found.append(path)
    return found


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Files, and folders with all below them, in natural order: slice 2 before 10.

    A file named `*_mask` is a data set's truth or an earlier prediction: it is left out,
    and the log says how many were.

    Raises:
        FileNotFoundError: if a path does not exist, or no image is found.
        UnreadableImage: if a path is a file whose name has none of ENDINGS.
    """
    given = [Path(path) for path in paths]
    found = {file.absolute(): file for path in given for file in _pictures(path)}
    images = [file for file in found.values() if not file.stem.endswith("_mask")]
    masks = len(found) - len(images)
    if not images:
        raise FileNotFoundError(
            f"No images in {', '.join(map(str, given)) or 'an empty list of paths'}"
            f" ({masks} *_mask files left out). Files that end in {READABLE}"
            " are read, in folders and all folders below them."
        )
    if masks:
        logging.info("Left out %d files named *_mask.", masks)
    return sorted(images, key=_natural)


def group_volumes(paths: Iterable[str | Path]) -> dict[str, list[Path]]:
    """Which slices belong together, each volume sorted by slice number as an integer.

    A volume is a folder whose file names differ in their last number alone. Where they
    differ before it, each beginning is a volume of its own, named like a pattern:
    `scans/TCGA_CS_4941_*`. A file whose name does not end in a number is a slice without
    neighbours, a volume of its own.
    """
    folders: dict[Path, dict[str, list[Path]]] = {}
    for path in sorted(map(Path, paths), key=_natural):
        series = folders.setdefault(path.parent, {})
        series.setdefault(_series(path), []).append(path)
    volumes = {}
    for folder, series in folders.items():
        for pattern, members in series.items():
            name = folder / pattern if len(series) > 1 else folder
            volumes[str(name)] = members
    return volumes


def read_image(
    path: str | Path, channels: int, dtype: str
) -> Shaped[np.ndarray, "h w {channels}"]:
    """Pixels as they are stored, channels in the order of the file: red first.

    Nothing is converted to fit: a repeated grey channel or a rescaled 16-bit range would
    reach the model as an image unlike any it was trained on, and nobody would notice.

    Raises:
        UnreadableImage: if it cannot be decoded or is not of the model's kind.
    """
    image = decoding.decode(Path(path))
    check_kind(path, image, channels, dtype)
    return image


def check_kind(
    path: str | Path, image: Shaped[np.ndarray, "h w c"], channels: int, dtype: str
) -> None:
    """Raises UnreadableImage for one that is not of the model's kind."""
    found = image.shape[-1]
    if image.dtype != dtype:
        raise UnreadableImage(
            f"{path} has {image.dtype} values; the model needs {dtype}. Export it so, with"
            " the intensity window of the training images."
        )
    if found == 4 and channels in (1, 3):
        raise UnreadableImage(
            f"{path} has a fourth channel (alpha, transparency). Save it without one."
        )
    if found != channels:
        kinds = {1: "1 channel (grey)", 3: "3 channels (RGB)"}
        raise UnreadableImage(
            f"{path} has {kinds.get(found, f'{found} channels')}; the model needs"
            f" {kinds.get(channels, f'{channels} channels')}. Give an image with the"
            " same MRI sequences, in the same order, as the training images."
        )


def write_mask(path: str | Path, mask: UInt8[np.ndarray, "h w"]) -> Path:
    """Writes a grey PNG with the mask's values as they are.

    Raises:
        ValueError: if the mask is not uint8 [h, w], or the name does not end in .png.
    """
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(
            f"{path}: a mask is uint8 with shape (height, width), not"
            f" {mask.dtype} {mask.shape}; say which value stands for each class."
        )
    return write_png(path, mask)


def write_png(
    path: str | Path, pixels: UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w 3"]
) -> Path:
    """Writes a grey or RGB PNG; the name must say so, or other programs misread it.

    Raises:
        ValueError: if the name does not end in .png.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path} would hold a PNG; give it a name that ends in .png.")
    _, encoded = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1])
    return files.write_atomically(path, encoded.tobytes())


def as_8_bits(image: Shaped[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """8-bit images as they are; of others each channel between two of its percentiles."""
    if image.dtype == np.uint8:
        return image
    pixels = image.astype(np.float32)
    low, high = np.percentile(pixels, (LOW, HIGH), axis=(0, 1))
    spread = np.where(high > low, high - low, 1)
    return np.rint(np.clip((pixels - low) / spread, 0, 1) * 255).astype(np.uint8)


def display(image: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    """An RGB picture: three channels as they are, of any other number the first, grey.

    Raises:
        ValueError: if the image is not uint8 [h, w, c].
    """
    if image.dtype != np.uint8 or image.ndim != 3:
        raise ValueError(
            "A picture is made of uint8 values with shape (height, width, channels), not"
            f" {image.dtype} {image.shape}."
        )
    return image if image.shape[-1] == 3 else np.repeat(image[..., :1], 3, axis=-1)


def overlay(
    image: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    colour: tuple[int, int, int],
    *,
    opacity: float = 1.0,
    outline: bool = False,
) -> UInt8[np.ndarray, "h w 3"]:
    """Paints the pixels of the mask; `outline`: only those at its border.

    Raises:
        ValueError: if image and mask differ in height or width.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(
            f"A mask of shape {mask.shape} does not fit an image of {image.shape[:2]};"
            " bring the mask to the image's own resolution first."
        )
    painted = mask.astype(bool)
    if outline:
        cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
        # OpenCV takes what lies beyond the edge for mask unless a value is given.
        inside = cv2.erode(
            painted.astype(np.uint8),
            cross,
            borderType=cv2.BORDER_CONSTANT,
            borderValue=(0,),
        )
        painted &= inside == 0
    result = image.copy()
    blend = (1 - opacity) * image[painted] + opacity * np.asarray(colour, float)
    result[painted] = np.rint(blend)
    return result


def _pictures(path: Path) -> list[Path]:
    """A file itself, or what a folder holds; hidden files are other programs' leftovers."""
    if path.is_dir():
        below = [(file, file.relative_to(path).parts) for file in path.rglob("*")]
        return [
            file
            for file, parts in below
            if (file.suffix.lower() in ENDINGS or dicom_names.is_dicom(file))
            and file.name != FOLDS_FILE
            and not any(part.startswith(".") for part in parts)
            and file.is_file()
        ]
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; give an image or a folder.")
    if path.suffix.lower() not in ENDINGS and not dicom_names.is_dicom(path):
        raise UnreadableImage(
            f"{path} is no image that can be read: the name must end in {READABLE}."
        )
    return [path]


def number_of(path: Path) -> int:
    """A slice's number in its volume: 12 of `TCGA_CS_4941_12.tif`; 0 without one."""
    match = re.search(r"\d+$", path.stem)
    return int(match[0]) if match else 0


def _series(path: Path) -> str:
    """`TCGA_CS_4941_*` of `TCGA_CS_4941_12.tif`; the name itself without a last number."""
    match = re.fullmatch(r"(.*?)\d+", path.stem)
    return f"{match[1]}*" if match else path.name


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    """Sorts the digits in a name as numbers; `01` and `1` by the whole name."""
    parts = [re.split(r"(\d+)", part) for part in path.with_suffix("").parts]
    numbered: list[list[str | int]] = [
        [int(text) if place % 2 else text for place, text in enumerate(part)]
        for part in parts
    ]
    return numbered, str(path)
