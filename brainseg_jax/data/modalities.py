"""Cases among NIfTI files: which files are one patient's scan, told by their names.

A sequence is known by the end of its file's name, as BraTS 2021 and 2023 and nnU-Net have
it: case_flair.nii.gz, case-t2f.nii.gz, or case_0000.nii.gz for the first channel of the
data set that a model was trained on, be it one that the model takes or not.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from brainseg_jax.data import nifti_headers

ENDINGS = (".nii", ".nii.gz")
# What files of each sequence end in; the first is BraTS 2021's, the second 2023's.
SEQUENCES = {
    "flair": ("flair", "t2f"),
    "t1": ("t1", "t1n", "t1w"),
    "t1ce": ("t1ce", "t1c", "t1gd"),
    "t2": ("t2", "t2w"),
}
# What data sets call them, beside the sequence's own name.
CALLED = {
    **{end: name for name, ends in SEQUENCES.items() for end in ends},
    "pre-contrast": "t1",
    "post-contrast": "t1ce",
    "post-contrast t1": "t1ce",
}
LEFT_OUT = ("seg", "mask")  # truth, or an earlier prediction
STEM = re.compile(r"(?P<case>.+)[_-](?P<part>[A-Za-z0-9]+)")


class Case(NamedTuple):
    """A scan: a file for each channel of the model but the missing, or one for all."""

    name: str
    files: tuple[Path, ...]
    missing: tuple[str, ...] = ()  # channels
    fault: str = (
        ""  # why its names are not those of a scan; its files are then all there are
    )


def find_volumes(paths: Iterable[str | Path]) -> list[Path]:
    """NIfTI files, and those of folders and all below; masks and hidden ones left out.

    Raises:
        FileNotFoundError: if a path does not exist.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; give a file or a folder.")
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in below:
            hidden = path.is_dir() and any(
                part.startswith(".") for part in file.relative_to(path).parts
            )
            if file.name.lower().endswith(ENDINGS) and file.is_file() and not hidden:
                found[file.absolute()] = file
    kept = [file for file in found.values() if not _part(file)[1].endswith(LEFT_OUT)]
    if left_out := len(found) - len(kept):
        logging.info("Left out %d NIfTI files named *seg or *mask.", left_out)
    return kept


def group_cases(
    files: Sequence[Path],
    channels: Sequence[str],
    stored: Sequence[str] = (),
    *,
    may_lack: bool = False,
) -> list[Case]:
    """A case for each beginning of names that ends in sequences; else each file alone.

    Sequences that the model does not take are left out, and a file of several channels is
    a case whatever its number. Numbers go by a channel's place
    among the `stored` ones, all of the model's data set; (): the model takes all. A case
    that lacks one that it does, or with `may_lack` all of them, has a fault.
    """
    numbers = {name: f"{place:04d}" for place, name in enumerate(stored or channels)}
    endings = [(*endings_of(channel), numbers[channel]) for channel in channels]
    named = {end for ends in (*endings, *SEQUENCES.values()) for end in ends}
    known = {*named, *numbers.values()}
    cases: dict[Path, dict[str, Path]] = {}
    alone = []
    for file in files:
        case, part = _part(file)
        if part in known and not (
            part.isdigit() and len(nifti_headers.shape_of(file)) > 3
        ):
            cases.setdefault(file.parent / case, {})[part] = file
        else:
            alone.append(Case(file.name.removesuffix(_ending(file)), (file,)))
    whole = [
        _case_of(case, parts, dict(zip(channels, endings, strict=True)), may_lack)
        for case, parts in cases.items()
    ]
    return sorted([*whole, *alone])


def endings_of(channel: str) -> tuple[str, ...]:
    """What files of a channel may end in, beside its number."""
    called = channel.lower()
    plain = (re.sub(r"[^a-z0-9]", "", called),)
    sequence = {called: called, **CALLED}[called]
    return {sequence: plain, **SEQUENCES}[sequence]


def expected(channels: Sequence[str]) -> str:
    """Which files of a case a model needs, in words."""
    names = [endings_of(channel)[0] for channel in channels]
    files = ", ".join(f"<case>_{name}.nii.gz" for name in names)
    if len(channels) == 1:
        return f"{files} or any one file of 3 axes ({channels[0]})"
    return (
        f"{files} ({', '.join(channels)}; or as BraTS 2023 or nnU-Net name them), or one "
        f"file of 4 axes whose last has these {len(channels)} in this order"
    )


def _case_of(
    case: Path,
    parts: dict[str, Path],
    endings: dict[str, Sequence[str]],
    may_lack: bool,
) -> Case:
    """Of files by what their names end in, and the endings of each channel."""
    found = {
        channel: [parts[end] for end in ends if end in parts]
        for channel, ends in endings.items()
    }
    missing = tuple(channel for channel, files in found.items() if not files)
    every = tuple(sorted(parts.values()))
    if missing and (not may_lack or len(missing) == len(found)):
        fault = _said_missing(case, parts, missing[0], tuple(endings))
        return Case(case.name, every, fault=fault)
    for channel, files in found.items():
        if len(files) > 1:
            fault = (
                f"Case {case} has two files for {channel}, {files[0].name} and "
                f"{files[1].name}; leave one of them."
            )
            return Case(case.name, every, fault=fault)
    return Case(
        case.name, tuple(files[0] for files in found.values() if files), missing
    )


def _said_missing(
    case: Path, parts: dict[str, Path], channel: str, channels: Sequence[str]
) -> str:
    there = ", ".join(sorted(file.name for file in parts.values()))
    without = " One trained with config.augment.channel_dropout could do without some."
    return (
        f"Case {case} has no file for {channel}; there are: {there}. The model needs "
        f"{expected(channels)}.{without if len(channels) > 1 else ''}"
    )


def _part(file: Path) -> tuple[str, str]:
    """Case and sequence that a name may tell: ("BraTS2021_00000", "t1ce")."""
    stem = file.name.removesuffix(_ending(file))
    if match := STEM.fullmatch(stem):
        return match["case"], match["part"].lower()
    return stem, ""


def _ending(file: Path) -> str:
    """Of a folder, which is a DICOM series, none."""
    if not file.name.lower().endswith(ENDINGS):
        return ""
    return file.name[-7:] if file.name.lower().endswith(".nii.gz") else file.suffix
