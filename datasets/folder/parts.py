"""What every layout finds: pictures that belong together, and what they stand for."""

import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

ENDINGS = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
VOLUMES = (".nii", ".nii.gz")
UNREAD = (".bmp", ".gif", ".webp", ".jp2", ".dcm", ".ima", ".nrrd", ".mha", ".mhd")
NOT_READ = "is of a format that is not read: save it as PNG or TIFF, a volume as NIfTI"


class Meaning(NamedTuple):
    """What channels, masks and folders stand for; known before a pixel is read."""

    channels: tuple[str, ...]
    classes: dict[str, int | list[int]]  # as stored in masks; none where there are none
    labels: tuple[str, ...]  # classes of whole pictures
    colours: dict[str, tuple[int, ...]]  # of classes told by colour in the raw masks
    painting: list[tuple[str, int]]  # how regions become labels, one over the other


class Example(NamedTuple):
    """Raw files of one picture."""

    key: str  # path without ending: what patients are told by
    images: tuple[str, ...]  # files whose channels follow each other
    mask: str = ""
    label: int | None = None  # place in labels, where the folder says it


class Found(NamedTuple):
    """All examples in natural order of their keys, and the files that cannot be used."""

    examples: list[Example]
    bad: list[dict[str, str]]


def labels_of_masks(classes: Iterable[str]) -> tuple[str, str]:
    """What a whole picture is called by whether its mask has anything in it."""
    names = [*classes]
    return (f"no {names[0]}", names[0]) if len(names) == 1 else ("empty", "not empty")


def is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def is_volume(name: str) -> bool:
    return name.lower().endswith(VOLUMES)


def is_unread(name: str) -> bool:
    """Whether it is a picture or volume of a format that is not read."""
    return name.lower().endswith(UNREAD)


def stem(name: str) -> str:
    """A path without the ending of a picture or volume."""
    if is_volume(name):
        return re.sub(r"\.nii(\.gz)?$", "", name, flags=re.I)
    return (
        str(pathlib.PurePosixPath(name).with_suffix("")) if is_picture(name) else name
    )


def below(name: str, folder: str) -> str | None:
    """A file's path below a folder ("": any); None if it lies elsewhere."""
    top = folder.strip("/")
    if not top:
        return name
    return name.removeprefix(f"{top}/") if name.startswith(f"{top}/") else None


def natural(key: str) -> list[tuple[str, int, str]]:
    """Sorts the numbers in a name as numbers: slice 2 before 10."""
    parts = re.split(r"(\d+)", key)
    texts, numbers = parts[::2], [*parts[1::2], ""]
    return [(t, int(n or 0), n) for t, n in zip(texts, numbers, strict=True)]
