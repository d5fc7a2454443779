"""How each year's challenge names its files and numbers its labels, and which cases it has.

The images are the same four sequences, and the regions are the same three.
"""

import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from datasets import nifti, raw

CHANNELS = ("flair", "t1", "t1ce", "t2")
MASK = "seg"
SYNTHETIC = "PHANTOM"  # in every synthetic case's name; never in a real one's


class Release(NamedTuple):
    """A year's way of naming and numbering."""

    name: str
    case: re.Pattern[str]  # its group `patient` is whose case it is
    joint: str  # between the case and what follows it in a file's name
    endings: Mapping[str, str]  # of each sequence's and the mask's file
    enhancing: int  # label of enhancing tumour; 1 is its dead core, 2 oedema

    @property
    def labels(self) -> tuple[int, ...]:
        return (0, 1, 2, self.enhancing)

    @property
    def classes(self) -> dict[str, int | list[int]]:
        """Whole tumour, tumour core and enhancing tumour, by their labels."""
        whole, core = [1, 2, self.enhancing], [1, self.enhancing]
        return {"WT": whole, "TC": core, "ET": self.enhancing}

    @property
    def painting(self) -> list[tuple[str, int]]:
        """The way back from regions to labels, one painted over the other."""
        return [("WT", 2), ("TC", 1), ("ET", self.enhancing)]

    def file(self, case: str, part: str) -> str:
        return f"{case}{self.joint}{self.endings[part]}.nii.gz"


RELEASES = (
    Release(
        name="BraTS 2021",
        case=re.compile(r"(?P<patient>BraTS2021_(?:PHANTOM)?\d+)"),
        joint="_",
        endings={name: name for name in (*CHANNELS, MASK)},
        enhancing=4,
    ),
    Release(
        name="BraTS 2023",
        case=re.compile(r"(?P<patient>BraTS-GLI-(?:PHANTOM)?\d+)-\d+"),
        joint="-",
        endings={"flair": "t2f", "t1": "t1n", "t1ce": "t1c", "t2": "t2w", MASK: MASK},
        enhancing=3,
    ),
)


class Case(NamedTuple):
    """One examination: its files among the raw ones, by sequence and "seg"."""

    key: str  # such as BraTS2021_00000
    patient: str
    files: Mapping[str, str]

    @property
    def synthetic(self) -> bool:
        return SYNTHETIC in self.key


class Found(NamedTuple):
    """All whole cases by name, the bad files, and which release they are of."""

    cases: list[Case]
    bad: list[dict[str, str]]
    release: Release


def find_cases(names: Iterable[str]) -> Found:
    """Puts the five files of each case together by their names.

    Raises:
        BadFile: if there are cases of two releases, whose labels differ.
    """
    files: dict[str, dict[str, str]] = defaultdict(dict)
    releases: dict[str, Release] = {}
    patients: dict[str, str] = {}
    bad: list[dict[str, str]] = []
    for name in filter(nifti.is_nifti, names):
        if not (told := _tell(name)):
            bad.append({"file": name, "reason": f"is called neither {_patterns()}"})
            continue
        release, case, patient, part = told
        releases.setdefault(release.name, release)
        folder = pathlib.PurePosixPath(name).parent.name
        if folder != case and release.case.fullmatch(folder):
            reason = f"lies in the folder of another case, {folder}"
            bad.append({"file": name, "reason": reason})
        elif before := files[case].get(part):
            bad.append({"file": name, "reason": f"is a duplicate of {before}"})
        files[case].setdefault(part, name)
        patients[case] = patient
    release = _one_release(releases)
    incomplete = _incomplete(files, release)
    spoilt = {one["file"] for one in bad}
    cases = [
        Case(key, patients[key], parts)
        for key, parts in sorted(files.items())
        if key not in incomplete and not spoilt & {*parts.values()}
    ]
    return Found(cases, [*bad, *incomplete.values()], release)


def _tell(name: str) -> tuple[Release, str, str, str] | None:
    """Release, case, patient and part that a file's name tells of."""
    path = pathlib.PurePosixPath(name)
    stem = re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.I)
    for release in RELEASES:
        parts = {ending: part for part, ending in release.endings.items()}
        case, _, ending = stem.rpartition(release.joint)
        found = release.case.fullmatch(case)
        if found and ending in parts:
            return release, case, found["patient"], parts[ending]
    return None


def _patterns() -> str:
    said = []
    for release in RELEASES:
        example = {"_": "BraTS2021_<number>", "-": "BraTS-GLI-<number>-<number>"}
        endings = "|".join(release.endings.values())
        said.append(f"{example[release.joint]}{release.joint}{endings}.nii.gz")
    return " nor ".join(said)


def _one_release(releases: Mapping[str, Release]) -> Release:
    if len(releases) > 1:
        raise raw.BadFile(
            f"There are cases of {' and of '.join(sorted(releases))}, whose labels are "
            "numbered differently: pass one of the two as --config.data.raw_dir "
            "(--config.data.skip_bad_files=True does not help here)."
        )
    return next(iter(releases.values()), RELEASES[0])


def _incomplete(
    files: Mapping[str, Mapping[str, str]], release: Release
) -> dict[str, dict[str, str]]:
    """The cases that lack a file, each as a bad file."""
    found = {}
    for case, parts in sorted(files.items()):
        if absent := [part for part in release.endings if part not in parts]:
            wanted = ", ".join(release.file(case, part) for part in absent)
            reason = f"lacks {wanted}"
            if absent == [MASK]:
                reason += ", as the challenge's cases for validation do: leave them out"
            found[case] = {"file": f"case {case}", "reason": reason}
    return found
