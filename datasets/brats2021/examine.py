"""Reads all cases once, several at a time: what each holds, and every fault."""

import pathlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich import progress

from datasets import ahead, folds, index, raw
from datasets.brats2021 import kept, raw_files
from datasets.brats2021.kept import Checked, Known
from datasets.brats2021.releases import Case

FOLDS, SEED = 5, 0
FOLD_RULE = (
    f"Whole patients into at most {FOLDS} folds by assign_folds with seed {SEED}: among "
    "those with enhancing tumour, and among those without, patients ordered by tumour "
    "volume (voxels of all labels) are dealt out one to each fold in random order; fewer "
    "than folds are pooled."
)


class Examined(NamedTuple):
    """All usable cases by key, their index, and the bad files."""

    tallied: index.Index
    known: dict[str, Known]
    bad: list[dict[str, str]]


def read_all(
    cases: Sequence[Case],
    patients: Mapping[str, str],
    read: Callable[[Case], raw_files.Content],
    files: raw_files.Files,
    folder: pathlib.Path,
) -> Examined:
    """Reads cases on up to eight processors, and holds none.

    What is found of each is kept in `folder`: those that an earlier start found good are
    not unpacked again.
    """
    found = Examined(index.Index(), {}, [])
    seen: dict[bytes, str] = {}  # cases by their voxels

    def examine(case: Case) -> tuple[Case, Checked | raw.Fault]:
        patient = patients[case.key]
        try:
            return case, kept.checked_once(
                folder, files, case, patient, lambda: _tally(case, read(case), patient)
            )
        except raw.Fault as fault:
            return case, fault

    done = ahead.ahead(examine, cases)
    for case, one in progress.track(done, "Checking cases", total=len(cases)):
        if isinstance(one, raw.Fault):
            found.bad.append({"file": one.file, "reason": one.reason})
        elif (before := seen.setdefault(one.digest, case.key)) != case.key:
            reason = f"has the same voxels as case {before}, so it is the same patient"
            found.bad.append({"file": f"case {case.key}", "reason": reason})
        else:
            found.tallied.update(one.tallied)
            found.known[case.key] = one.known
    return found


def fold_table(known: Mapping[str, Known], enhancing: int) -> dict[str, int]:
    """Each patient's fold, from the tumour of all cases and whether any enhances."""
    volumes: Counter[str] = Counter()
    enhances: Counter[str] = Counter()
    for one in known.values():
        volumes[one.patient] += sum(one.voxels.values())
        enhances[one.patient] += one.voxels.get(enhancing, 0)
    patients = {
        name: folds.Patient("ET" if enhances[name] else "no ET", volume)
        for name, volume in volumes.items()
    }
    return folds.assign_folds(patients, FOLDS, SEED)


def _tally(case: Case, content: raw_files.Content, patient: str) -> Checked:
    tallied = index.Index()
    tallied.add(
        case.key,
        content.image,
        content.mask,
        patient=patient,
        volume=case.key,
        spacing=content.place.spacing,
        affine=content.place.affine,
    )
    labels, counts = np.unique(content.mask[content.mask > 0], return_counts=True)
    voxels = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return Checked(tallied, Known(patient, voxels), content.digest())
