"""Reads all pictures once, one at a time: what each holds, and every fault."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from rich import progress

from datasets import ahead, archives, grids, index, raw
from datasets.folder import pictures, volumes
from datasets.folder.parts import Example, Meaning

Result = TypeVar("Result")


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


class Content(NamedTuple):
    """What an example holds; of a volume also where that lies."""

    image: np.ndarray  # [*space c]
    mask: np.ndarray  # [*space]; empty where there are no masks
    place: grids.Place | None = None


class VolumeReader:
    """Reads volumes of any channels; all are stored as one type of number."""

    def __init__(self, files: archives.Files, meaning: Meaning, dtype: np.dtype):
        self.files, self.meaning, self.dtype = files, meaning, dtype

    def read(self, one: Example) -> Content:
        """All of it; raw.Fault says what is wrong with which file."""
        return Content(*volumes.read(self.files, one, self.meaning, self.dtype))


class Reader:
    """Reads pictures that all have the same channels and bits, those of the first."""

    def __init__(self, files: archives.Files, meaning: Meaning):
        self.files, self.meaning = files, meaning
        self.dtype: np.dtype | None = None
        self.first = ""

    def read(self, one: Example) -> Content:
        """All of it; raw.Fault says what is wrong with which file."""
        image = raw.of(one.images[0], self.image, one)
        return Content(image, raw.of(one.mask, self.mask, one, image.shape[:2]))

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
    reader: Reader | VolumeReader,
    examples: Sequence[Example],
    patients: Mapping[str, str],
    spacing: Sequence[float] = (),
) -> Examined:
    """Reads examples in their order, which numbers those of a patient.

    `spacing` is that of pictures, as their owner says it; a volume's file has its own.
    """
    found = Examined(index.Index(), {}, [])
    seen: dict[str, int] = {}

    def examine(one: Example) -> Content | raw.Fault:
        try:
            return reader.read(one)
        except raw.Fault as fault:
            return fault

    done = zip(examples, read_each(reader, examine, examples), strict=True)
    for one, content in progress.track(done, "Checking files", total=len(examples)):
        if isinstance(content, raw.Fault):
            found.bad.append({"file": content.file, "reason": content.reason})
            continue
        patient, area = patients[one.key], int((content.mask > 0).sum())
        seen[patient] = seen.get(patient, 0) + 1
        label = int(area > 0) if one.label is None else one.label
        found.known[one.key] = Known(patient, seen[patient], label, area)
        place = content.place
        found.tallied.add(
            one.key,
            content.image,
            content.mask,
            patient=patient,
            volume=one.key if place else patient,
            number=seen[patient],
            label=label,
            spacing=place.spacing if place else spacing or None,
            affine=place and place.affine,
        )
    return found


def read_each(
    reader: Reader | VolumeReader,
    function: Callable[[Example], Result],
    examples: Sequence[Example],
) -> Iterator[Result]:
    """function(example) of each in order; volumes on up to eight processors.

    Of pictures the first that is read decides what the others have to be like.
    """
    if isinstance(reader, VolumeReader):
        return ahead.ahead(function, examples)
    return map(function, examples)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _bits(dtype: np.dtype) -> int:
    return 8 * dtype.itemsize
