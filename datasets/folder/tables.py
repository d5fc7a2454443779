"""The metadata of a data set, with its table of folds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import folds, leaky, raw
from datasets.folder import settings as folder_settings
from datasets.folder.examine import Known
from datasets.folder.parts import Example, Meaning, is_volume
from datasets.folder.settings import Settings
from datasets.synthetic import phantom

FOLDS, SEED = 5, 0
A_FEW = 5  # patients of whom nobody wonders that each has one slice
FOLD_RULE = (
    f"Whole patients into at most {FOLDS} folds by assign_folds with seed {SEED}: within "
    "a class, patients ordered by mask pixels, then by name, are dealt out one to each "
    "fold in random order; classes of fewer patients than folds are pooled."
)


def fold_table(known: Mapping[str, Known], meaning: Meaning) -> dict[str, int]:
    """Each patient's fold, from the classes and the mask pixels of all pictures."""
    areas: Counter[str] = Counter()
    labels: dict[str, set[str]] = {}
    for one in known.values():
        areas[one.patient] += one.area
        labels.setdefault(one.patient, set()).add(meaning.labels[one.label])
    # Of whole patients: of masks, those with and without anything in any picture.
    return folds.assign_folds(
        {
            name: folds.Patient(
                str(areas[name] > 0) if meaning.classes else "+".join(sorted(own)),
                areas[name],
            )
            for name, own in labels.items()
        },
        FOLDS,
        SEED,
    )


def is_synthetic(examples: Sequence[Example]) -> bool:
    """Whether all are; BadFile where real and synthetic pictures are mixed."""
    marked = [one for one in examples if phantom.MARK in one.key]
    if marked and len(marked) < len(examples):
        raise raw.BadFile(
            f"{marked[0].images[0]} is synthetic, as its name says, and "
            f"{len(examples) - len(marked)} pictures are not: keep them apart, in two data "
            "sets (--config.data.skip_bad_files=True does not help here)."
        )
    return bool(marked)


def metadata(
    settings: Settings,
    source: str,
    meaning: Meaning,
    examples: Sequence[Example],
    known: Mapping[str, Known],
    *,
    table: Mapping[str, int],
    skipped: list[dict[str, str]],
) -> dict[str, Any]:
    """All that is said of a data set beside its pictures; `source` is where they lay."""
    labels = Counter(one.label for one in known.values())
    kind = "volumes" if is_volume(examples[0].images[0]) else "slices"
    return {
        "classes": meaning.classes,
        "colours": meaning.colours,
        "painting": meaning.painting,
        "channels": list(meaning.channels),
        "task": "segmentation" if meaning.classes else "classification",
        "synthetic": is_synthetic(examples),
        "one_patient_per_file": settings.one_patient_per_file,
        "one_slice_per_patient": kind == "slices"
        and not settings.one_patient_per_file
        and len(known) == len(table) > A_FEW,
        "settings": folder_settings.to_record(settings),
        "source": source,
        "licence": "yours",
        "patients": len(table),
        kind: len(known),
        f"tumour_{kind}": sum(one.area > 0 for one in known.values()),
        "slices_by_class": {
            name: labels[place] for place, name in enumerate(meaning.labels)
        },
        "folds": dict(table),
        "fold_rule": FOLD_RULE,
        "leaky": leaky.leaky_splits([one.key for one in examples], SEED),
        "skipped": skipped,
    }
