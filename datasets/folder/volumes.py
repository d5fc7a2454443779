"""NIfTI volumes of one's own: turned to RAS+, cropped to what is not 0, places kept."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Num, UInt8

from datasets import ahead, archives, grids, nifti, raw
from datasets.folder.parts import Example, Meaning
from datasets.folder.settings import HIGHEST, KEY

SHORT = (np.int8, np.uint8, np.int16)  # what 16 bits with a sign hold


def common_type(files: archives.Files, examples: Iterable[Example]) -> np.dtype:
    """What all images can be stored as, by their headers: int16, else float32."""
    names = [name for one in examples for name in one.images]

    def is_short(name: str) -> bool:
        try:
            return nifti.read_type(files.read(name)) in SHORT
        except ValueError:
            return True  # it is named once all are read

    return np.dtype(np.int16 if all(ahead.ahead(is_short, names)) else np.float32)


def read(
    files: archives.Files, one: Example, meaning: Meaning, dtype: np.dtype
) -> tuple[Num[np.ndarray, "z y x c"], UInt8[np.ndarray, "z y x"], grids.Place]:
    """Image, mask and place; raw.Fault says what is wrong with which file."""
    names = [*one.images, *filter(None, [one.mask])]
    scans = {name: raw.of(name, _read, files, name) for name in names}
    first = scans[one.images[0]]
    for name, scan in scans.items():
        if differs := nifti.difference(scan, first, one.images[0]):
            raise raw.Fault(name, differs)
    image = [raw.of(name, _numbers, scans[name], dtype) for name in one.images]
    if len(image) != len(meaning.channels):
        raise raw.Fault(
            one.images[0],
            f"has 1 channel, where {len(meaning.channels)} "
            f"({', '.join(meaning.channels)}) are declared",
        )
    mask = (
        raw.of(one.mask, _labels, scans[one.mask], meaning)
        if one.mask
        else np.zeros(first.voxels.shape, np.uint8)
    )
    turned = [grids.to_stored(voxels, first.affine) for voxels in (*image, mask)]
    box = grids.foreground_box(*(whole for whole, _ in turned))
    parts = [whole[box] for whole, _ in turned]
    place = turned[0][1]._replace(offset=tuple(side.start for side in box))
    return np.stack(parts[:-1], axis=-1), np.ascontiguousarray(parts[-1]), place


def _read(files: archives.Files, name: str) -> nifti.Scan:
    return nifti.read(files.read(name))


def _numbers(scan: nifti.Scan, dtype: np.dtype) -> Num[np.ndarray, "i j k"]:
    if dtype == np.int16:
        return nifti.whole_numbers(scan.voxels, dtype)
    numbers = scan.voxels.astype(dtype)
    if not np.isfinite(numbers).all():
        raise ValueError("has voxels that are no numbers (NaN or infinite)")
    return numbers


def _labels(scan: nifti.Scan, meaning: Meaning) -> UInt8[np.ndarray, "i j k"]:
    if meaning.colours:
        raise ValueError(
            f"is a volume, which has no colours: give each class its label in {KEY}.classes"
        )
    values = nifti.whole_numbers(scan.voxels, np.int32)
    known = {0}
    for label in meaning.classes.values():
        known |= {label} if isinstance(label, int) else {*label}
    if unknown := sorted({*np.unique(values).tolist()} - known):
        listed = ", ".join(map(str, unknown[:4])) + ", ..." * (len(unknown) > 4)
        raise ValueError(
            f"has the labels {listed}, and masks have "
            f"{', '.join(map(str, sorted(known)))} alone, by the classes that are declared"
        )
    assert max(known) <= HIGHEST
    return values.astype(np.uint8)
