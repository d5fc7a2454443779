"""A surveyed data set in numbers: a summary, a row per example, a row per patient."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from brainseg_jax.data.survey import Survey

SIZES = 6  # that are listed one by one
NO_MASKS = "left out, for the data set has no masks"


def summarise(found: Survey) -> dict[str, Any]:
    """What summary.json holds."""
    info, index = found.info, found.index
    shapes = Counter("x".join(map(str, shape)) for shape in index.shapes)
    patients = dict.fromkeys(index.patients)
    places = (found.institutions.get(patient, "") for patient in patients)
    return {
        "data_set": info.name,
        "version": info.version,
        "note": info.note(),
        "patients": len(patients),
        "examples": len(index),
        "with_foreground": int(index.foreground.sum()),
        "channels": list(info.channels),
        "dtype": info.dtype,
        "shapes": dict(shapes.most_common()),
        "labels": label_counts(found),
        "mask_classes": {
            name: _areas(found, place) for place, name in enumerate(mask_classes(found))
        },
        "folds": fold_counts(found),
        "institutions": dict(Counter(place for place in places if place).most_common()),
        "patients_in_patient_table": len(found.patient_table),
    }


def mask_classes(found: Survey) -> list[str]:
    """Names of the columns of areas."""
    return list(found.info.classes) if found.has_masks else []


def missing_masks(found: Survey) -> str:
    """Why no picture of foreground can be drawn, or ""."""
    if not found.has_masks:
        return NO_MASKS
    return "" if found.areas.any() else "left out, for every mask is empty"


def label_counts(found: Survey) -> dict[str, dict[str, int]]:
    """Of each label its examples, and the patients with at least one."""
    labels, patients = found.index.labels, np.array(found.index.patients)
    return {
        name: {
            "examples": int((labels == place).sum()),
            "patients": len(set(patients[labels == place])),
        }
        for place, name in enumerate(found.info.labels)
    }


def fold_counts(found: Survey) -> dict[str, dict[str, int]]:
    """Of each stored split its patients and examples, and those with foreground."""
    index = found.index
    splits, patients = np.array(index.splits), np.array(index.patients)
    return {
        split: {
            "patients": len(set(patients[splits == split])),
            "examples": int((splits == split).sum()),
            "with_foreground": int(index.foreground[splits == split].sum()),
        }
        for split in sorted(set(index.splits))
    }


def area_shares(found: Survey) -> np.ndarray:
    """Shares of the picture [n k] that each class covers."""
    sizes = [np.prod(shape) for shape in found.index.shapes]
    return found.areas / np.array(sizes, float)[:, None]


def example_rows(found: Survey) -> list[dict[str, Any]]:
    """What examples.csv holds."""
    index, names = found.index, mask_classes(found)
    return [
        {
            "key": index.keys[row],
            "patient": index.patients[row],
            "split": index.splits[row],
            "slice": index.slices[row],
            "label": found.info.labels[index.labels[row]],
            "shape": "x".join(map(str, index.shapes[row])),
            **{
                f"{name}_pixels": int(area)
                for name, area in zip(names, found.areas[row], strict=True)
            },
        }
        for row in range(len(index))
    ]


def patient_rows(found: Survey) -> list[dict[str, Any]]:
    """What patients.csv holds, with the publisher's columns where there are any."""
    index = found.index
    rows_of: dict[str, list[int]] = {}
    for row, patient in enumerate(index.patients):
        rows_of.setdefault(patient, []).append(row)
    own = [
        {
            "patient": patient,
            "fold": found.info.folds.get(patient, ""),
            "institution": found.institutions.get(patient, ""),
            "examples": len(rows),
            "with_foreground": int(index.foreground[rows].sum()),
            **{
                f"{name}_pixels": int(found.areas[rows, place].sum())
                for place, name in enumerate(mask_classes(found))
            },
        }
        for patient, rows in sorted(rows_of.items())
    ]
    return [
        row | _others(found.patient_table.get(str(row["patient"]), {}), row)
        for row in own
    ]


def _others(published: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of the publisher's that are not called as one of ours."""
    return {name: value for name, value in published.items() if name not in own}


def summary_lines(summary: Mapping[str, Any], missing: Sequence[str]) -> list[str]:
    """The summary as text, for a person; last what could not be shown."""
    lines = [
        f"{summary['data_set']} {summary['version']}: {summary['patients']:,} patients, "
        f"{summary['examples']:,} examples, {summary['with_foreground']:,} with foreground",
        f"  stored as {summary['dtype']}, channels {', '.join(summary['channels'])}",
        f"  sizes: {_sizes(summary['shapes'])}",
    ]
    for name, counts in summary["labels"].items():
        lines.append(
            f"  label {name}: {counts['examples']:,} examples, "
            f"{counts['patients']:,} patients"
        )
    for name, areas in summary["mask_classes"].items():
        share = areas["median_share"]
        lines.append(
            f"  mask of {name}: in {areas['examples']:,} examples, "
            f"{areas['pixels']:,} pixels"
            + ("" if share is None else f", median {100 * share:.2g} % of the picture")
        )
    for name, counts in summary["folds"].items():
        lines.append(
            f"  {name}: {counts['patients']:,} patients, {counts['examples']:,} examples, "
            f"{counts['with_foreground']:,} with foreground"
        )
    if summary["institutions"]:
        lines.append(f"  patients by institution: {_listed(summary['institutions'])}")
    if summary["note"]:
        lines.append(f"  {summary['note']}")
    return [*lines, *(f"  {line}" for line in missing)]


def _areas(found: Survey, place: int) -> dict[str, Any]:
    shares = area_shares(found)[:, place]
    with_any = shares[shares > 0]
    return {
        "examples": len(with_any),
        "pixels": int(found.areas[:, place].sum()),
        "median_share": float(np.median(with_any)) if len(with_any) else None,
        "largest_share": float(with_any.max(initial=0)),
    }


def _sizes(counts: Mapping[str, int]) -> str:
    """All of a few; of many between which they lie along each axis."""
    if len(counts) <= SIZES:
        return _listed(counts)
    sizes = [[int(size) for size in shape.split("x")] for shape in counts]
    low, high = (
        "x".join(str(most(axis)) for axis in zip(*sizes, strict=True))
        for most in (min, max)
    )
    return f"{len(counts)} different ones, from {low} to {high} along the axes"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items())
