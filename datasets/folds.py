"""Divides whole patients into folds: stratified, the same from a seed on every machine."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Patient(NamedTuple):
    """What folds are balanced by: the place of the scan or the class, and tumour voxels."""

    stratum: str
    tumour_volume: int


def assign_folds(
    patients: Mapping[str, Patient], folds: int = 5, seed: int = 0
) -> dict[str, int]:
    """Gives each patient a fold, balanced over strata and tumour volumes.

    Within a stratum, patients are ordered by tumour volume and dealt out in blocks
    of one per fold, each block in a random order; an incomplete block goes to the
    smallest folds. Strata with fewer patients than folds are pooled into one. With
    fewer patients than folds there are as many folds as patients.

    Raises:
        ValueError: if there are no patients.
    """
    if not patients:
        raise ValueError("There are no patients to divide into folds.")
    folds = min(folds, len(patients))
    strata: dict[str, list[str]] = {}
    for name, patient in patients.items():
        strata.setdefault(patient.stratum, []).append(name)
    small = [key for key, names in strata.items() if len(names) < folds]
    if pooled := [name for key in small for name in strata.pop(key)]:
        strata["pooled"] = pooled

    rng = np.random.default_rng(seed)
    sizes = np.zeros(folds, int)
    table: dict[str, int] = {}
    for key in sorted(strata):
        ordered = sorted(
            strata[key], key=lambda name: (patients[name].tumour_volume, name)
        )
        for start in range(0, len(ordered), folds):
            shuffled = rng.permutation(folds)
            smallest_first = shuffled[np.argsort(sizes[shuffled], kind="stable")]
            for name, fold in zip(
                ordered[start : start + folds], smallest_first, strict=False
            ):
                table[name] = int(fold)
                sizes[fold] += 1
    return dict(sorted(table.items()))
