"""The publisher's LGG files: which slices there are, and reading one with its checks."""

import io
import pathlib
import re
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tifffile
from jaxtyping import UInt8

from datasets import raw

TREE = "kaggle_3m"
SIZE = 256
TIFF = re.compile(r"(?:(?P<root>.*)/)?(?P<patient>TCGA_[^/]*)/[^/.][^/]*\.tiff?", re.I)
STEM = re.compile(r"(?P<patient>.+)_(?P<number>\d+)(?P<mask>_mask)?", re.I)

# What decoders were seen to raise over damaged bytes.
UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    OSError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


class Slice(NamedTuple):
    """One image and its mask, by their names among the raw files."""

    patient: str
    number: int
    image: str
    mask: str

    @property
    def key(self) -> str:
        return pathlib.PurePosixPath(self.image).stem

    @property
    def institution(self) -> str:
        return self.patient.split("_")[1]


def open_lgg(path: pathlib.Path) -> raw.Folder | raw.Zip:
    """Opens the kaggle_3m folder, the folder it lies in, or the zip from Kaggle."""
    return raw.open_raw(path / TREE if (path / TREE).is_dir() else path)


def find_slices(names: Iterable[str]) -> tuple[list[Slice], list[dict[str, str]]]:
    """Pairs images with masks by name: slices by patient and number, then the bad files.

    The patient is the folder: the table some copies ship names the wrong one in almost
    every row.
    """
    images: dict[tuple[str, int], str] = {}
    masks: dict[tuple[str, int], str] = {}
    bad: list[dict[str, str]] = []
    for name in one_tree(names):
        path = pathlib.PurePosixPath(name)
        patient = path.parent.name
        parts = STEM.fullmatch(path.stem)
        if parts is None or parts["patient"] != patient:
            wanted = f"{patient}_<number>.tif or {patient}_<number>_mask.tif"
            bad.append({"file": name, "reason": f"is not called {wanted}"})
            continue
        kind = masks if parts["mask"] else images
        place = patient, int(parts["number"])
        if place in kind:
            reason = f"is a duplicate of {kind[place]}"
            bad.append({"file": name, "reason": reason})
        kind.setdefault(place, name)
    bad += [
        {"file": images[place], "reason": "has no mask beside it"}
        for place in sorted(images.keys() - masks.keys())
    ]
    bad += [
        {"file": masks[place], "reason": "is a mask without an image"}
        for place in sorted(masks.keys() - images.keys())
    ]
    both = sorted(images.keys() & masks.keys())
    return [Slice(*place, images[place], masks[place]) for place in both], bad


def one_tree(names: Iterable[str]) -> list[str]:
    """The TIFFs of the shallowest tree: Kaggle's zip holds everything twice.

    Raises:
        BadFile: if a deeper tree holds files that the shallowest lacks.
    """
    trees: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if found := TIFF.fullmatch(name):
            trees[found["root"] or ""].append(name)
    if not trees:
        return []
    root, *copies = sorted(trees, key=lambda root: (root.count("/"), len(root), root))
    used = {name.removeprefix(root).lstrip("/") for name in trees[root]}
    for copy in copies:
        if extra := {n.removeprefix(copy).lstrip("/") for n in trees[copy]} - used:
            raise raw.BadFile(
                f"{copy}/ holds files that {root or 'the top folder'} lacks, such as "
                f"{min(extra)}: pass the one folder to read as --config.data.raw_dir, "
                "as --config.data.skip_bad_files=True does not help here."
            )
    return sorted(trees[root])


def read_image(
    files: raw.Folder | raw.Zip, name: str
) -> UInt8[np.ndarray, "256 256 3"]:
    """Pre-contrast, FLAIR and post-contrast, as stored; ValueError says what is wrong."""
    return _read(files, name, (SIZE, SIZE, 3))


def read_mask(files: raw.Folder | raw.Zip, name: str) -> UInt8[np.ndarray, "256 256"]:
    """0 or 255, as stored; ValueError says what is wrong."""
    mask = _read(files, name, (SIZE, SIZE))
    if other := set(np.unique(mask).tolist()) - {0, 255}:
        raise ValueError(f"is a mask with values other than 0 and 255: {min(other)}")
    return mask


def _read(
    files: raw.Folder | raw.Zip, name: str, shape: tuple[int, ...]
) -> UInt8[np.ndarray, "..."]:
    try:
        pixels = tifffile.imread(io.BytesIO(files.read(name)))
    except UNREADABLE as error:
        raise ValueError(f"cannot be read as TIFF ({error})") from error
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise ValueError(
            f"is {pixels.dtype} of shape {pixels.shape}, not uint8 of shape {shape}"
        )
    return pixels
