"""Reads all pictures once, one at a time: what each holds, and every fault."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich import progress

from datasets import archives, index
from datasets.folder import pictures
from datasets.folder.parts import Example, Meaning


class Known(NamedTuple):
    """What is kept of a picture once its pixels are forgotten."""

    patient: str
    number: int  # place among the patient's pictures, from 1
    label: int
    area: int  # of the mask in pixels


class Examined(NamedTuple):
    """All usable pictures by key, their index, and the bad files."""

    tallied: index.Index
    known: dict[str, Known]
    bad: list[dict[str, str]]


class Reader:
    """Reads pictures that all have the same channels and bits, those of the first."""

    def __init__(self, files: archives.Files, meaning: Meaning):
        self.files, self.meaning = files, meaning
        self.dtype: np.dtype | None = None
        self.first = ""

    def image(self, one: Example) -> pictures.Picture:
        """Its pixels; ValueError if it is not like the others."""
        image = pictures.read_image(self.files, one.images)
        channels, wanted = image.shape[-1], len(self.meaning.channels)
        if channels != wanted:
            raise ValueError(
                f"has {_channels(channels)}, where {_channels(wanted)} "
                f"({', '.join(self.meaning.channels)}) are declared"
            )
        if self.dtype is None:
            self.dtype, self.first = image.dtype, one.images[0]
        if image.dtype != self.dtype:
            raise ValueError(
                f"has {_bits(image.dtype)} bits, but {self.first} has "
                f"{_bits(self.dtype)}: all pictures need the same"
            )
        return image

    def mask(self, one: Example, shape: tuple[int, ...]) -> np.ndarray:
        """Its labels; an empty one where there are no masks."""
        if not one.mask:
            return np.zeros(shape, np.uint8)
        mask = pictures.read_mask(self.files, one.mask, self.meaning)
        if mask.shape != shape:
            raise ValueError(f"has the shape {mask.shape}, its image {shape}")
        return mask


def read_all(
    reader: Reader, examples: Sequence[Example], patients: Mapping[str, str]
) -> Examined:
    """Reads pictures in their order, which numbers those of a patient."""
    found = Examined(index.Index(), {}, [])
    seen: dict[str, int] = {}
    for one in progress.track(examples, "Checking pictures"):
        name = one.images[0]
        try:
            image = reader.image(one)
            name = one.mask
            mask = reader.mask(one, image.shape[:2])
        except ValueError as error:
            found.bad.append({"file": name, "reason": str(error)})
            continue
        patient, area = patients[one.key], int((mask > 0).sum())
        seen[patient] = seen.get(patient, 0) + 1
        label = int(area > 0) if one.label is None else one.label
        found.known[one.key] = Known(patient, seen[patient], label, area)
        found.tallied.add(
            one.key,
            image,
            mask,
            patient=patient,
            volume=patient,
            number=seen[patient],
            label=label,
        )
    return found


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _bits(dtype: np.dtype) -> int:
    return 8 * dtype.itemsize
