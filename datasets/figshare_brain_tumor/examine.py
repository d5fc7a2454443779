"""Reads all raw files once, one at a time: what each holds, and every fault."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich import progress

from datasets import archives, index, raw
from datasets.figshare_brain_tumor import downloads, raw_files


class Known(NamedTuple):
    """What is kept of a slice once its pixels are forgotten."""

    patient: str
    label: int  # number of the class, from 1
    area: int  # of the mask in pixels


class Examined(NamedTuple):
    """All usable slices by key, their index, and the bad files."""

    tallied: index.Index
    known: dict[str, Known]
    bad: list[dict[str, str]]


def read_all(files: archives.Files, slices: Sequence[raw_files.Slice]) -> Examined:
    """Reads slices in order of their numbers."""
    found = Examined(index.Index(), {}, [])
    classes: dict[
        str, tuple[int, str]
    ] = {}  # of each patient, and the file that says so
    series, before = "", -1
    for one in progress.track(slices, "Checking slices"):
        try:
            content = raw_files.read_slice(files, one.file)
            label, file = classes.setdefault(content.patient, (content.label, one.file))
            if label != content.label:
                raise ValueError(
                    f"is of class {content.label}, but {file} of the same patient, "
                    f"{content.patient}, is of class {label}"
                )
        except ValueError as error:
            found.bad.append({"file": one.file, "reason": str(error)})
            continue
        # A series in one plane has consecutive numbers, and intensities of its own.
        if one.number != before + 1 or not series.startswith(f"{content.patient} "):
            series = f"{content.patient} from {one.number}"
        before = one.number
        found.tallied.add(
            one.key,
            content.image[..., None],
            content.mask,
            patient=content.patient,
            volume=series,
            number=one.number,
            label=content.label - 1,
        )
        area = int((content.mask > 0).sum())
        found.known[one.key] = Known(content.patient, content.label, area)
    return found


def official_folds(
    files: archives.Files,
    slices: Sequence[raw_files.Slice],
    known: Mapping[str, Known],
    published: int | None,
) -> dict[str, int]:
    """The publisher's fold, 0 to 4, of each slice by key.

    Args:
        published: how many slices there are in all; None: at least these.

    Raises:
        MissingRawData: if there is no cvind.mat.
        BadFile: if it is unreadable, or not that of these slices.
    """
    name, folds = _read_folds(files)
    if len(folds) < len(slices) or (published and len(folds) != published):
        raise _not_of_these(
            name,
            f"has the folds of {len(folds):,} slices, not of {published or len(slices):,}",
        )
    for one in slices:
        if not 1 <= one.number <= len(folds):
            raise raw.BadFile(
                f"{one.file} is no slice that {name} has a fold of: they are numbered 1 to "
                f"{len(folds):,}. Take it away, or fetch {name} anew from "
                f"{downloads.ARTICLE} (--config.data.skip_bad_files=True does not help "
                "here)."
            )
    table = {one.key: int(folds[one.number - 1]) - 1 for one in slices}
    seen: dict[str, int] = {}
    for key, fold in table.items():
        patient = known[key].patient
        if seen.setdefault(patient, fold) != fold:
            raise _not_of_these(name, f"has patient {patient} in two folds")
    return table


def _read_folds(files: archives.Files) -> tuple[str, raw_files.Folds]:
    """The one cvind.mat, or the first of several that are the same."""
    names = [
        name
        for name in files.names
        if pathlib.PurePosixPath(name).name == raw_files.FOLDS_FILE
    ]
    if not names:
        raise raw.MissingRawData(
            f"{files.path} holds no {raw_files.FOLDS_FILE}, the official folds: fetch it "
            f"(6 kB) from {downloads.ARTICLE} and put it beside the other files."
        )
    try:
        contents = {files.read(name) for name in names}
        folds = raw_files.read_folds(contents.pop())
    except ValueError as error:
        raise _not_of_these(names[0], str(error)) from error
    if contents:
        raise _not_of_these(names[1], f"is another than {names[0]}")
    return names[0], folds


def _not_of_these(name: str, fault: str) -> raw.BadFile:
    return raw.BadFile(
        f"{name} {fault}. Fetch it anew from {downloads.ARTICLE} "
        "(--config.data.skip_bad_files=True does not help here)."
    )
