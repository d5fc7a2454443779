"""Tables of the metadata: who is in which fold, and how many there are of each class."""

from collections import Counter
from collections.abc import Mapping

from datasets import folds
from datasets.figshare_brain_tumor import examine, raw_files

FOLDS, SEED = 5, 0
FOLD_RULE = (
    f"Whole patients into at most {FOLDS} folds by assign_folds with seed {SEED}: within "
    "a class, patients ordered by tumour volume (mask pixels) are dealt out one to each "
    "fold in random order; classes of fewer patients than folds are pooled."
)


def fold_table(known: Mapping[str, examine.Known]) -> dict[str, int]:
    """Each patient's fold, from the class and the mask pixels of all slices."""
    volumes: Counter[str] = Counter()
    classes: dict[str, str] = {}
    for one in known.values():
        volumes[one.patient] += one.area
        classes[one.patient] = raw_files.CLASSES[one.label - 1]
    patients = {
        name: folds.Patient(classes[name], volume) for name, volume in volumes.items()
    }
    return folds.assign_folds(patients, FOLDS, SEED)


def count_classes(labels: Mapping[str, int]) -> dict[str, int]:
    """How many there are of each class, by its name."""
    counts = Counter(labels.values())
    return {
        name: counts[number] for number, name in enumerate(raw_files.CLASSES, start=1)
    }


def official_splits(official: Mapping[str, int]) -> dict[str, list[str]]:
    """The keys of official_0, official_1, ...: whole patients, as published."""
    return {
        f"official_{fold}": [key for key, of in official.items() if of == fold]
        for fold in sorted(set(official.values()))
    }
