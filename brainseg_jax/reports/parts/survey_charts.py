"""A surveyed data set in charts: classes, folds, intensities, masks, patients."""

from collections import Counter
from pathlib import Path

import numpy as np

from brainseg_jax.data import survey as data_survey
from brainseg_jax.data import tallies
from brainseg_jax.data.survey import Survey
from brainseg_jax.data.tallies import Tally
from brainseg_jax.reports.parts import (
    count_bars,
    intensity_figures,
    mask_figures,
    planes,
    survey_tables,
)

AVERAGED = 100  # pictures in the mean one


def draw_classes(found: Survey, path: Path, rng: np.random.Generator) -> str:
    counts = survey_tables.label_counts(found)
    charts = {
        f"{of.capitalize()} by class": {name: row[of] for name, row in counts.items()}
        for of in ("examples", "patients")
    }
    classes = survey_tables.mask_classes(found)
    if len(classes) > 1:
        charts["Examples by mask class"] = {
            name: int((found.areas[:, place] > 0).sum())
            for place, name in enumerate(classes)
        }
    title = f"Classes of {found.info.name}"
    count_bars.count_charts(charts, path, title=title, note=found.info.note())
    return ""


def draw_folds(found: Survey, path: Path, rng: np.random.Generator) -> str:
    """Patients by institution, or by class where no institution is told."""
    index, names = found.index, found.info.labels
    splits = sorted(set(index.splits))
    by_class = Counter(zip(index.splits, index.labels.tolist(), strict=True))
    examples = {
        split: {name: by_class[split, place] for place, name in enumerate(names)}
        for split in splits
    }
    group_of = found.institutions or highest_classes(found)
    split_of = dict(zip(index.patients, index.splits, strict=True))
    by_group = Counter((split_of[one], group) for one, group in group_of.items())
    groups = names if not found.institutions else sorted(set(group_of.values()))
    patients = {
        split: {group: by_group[split, group] for group in groups} for split in splits
    }
    by = "institution" if found.institutions else "class"
    charts = {f"Patients by {by}": patients, "Examples by class": examples}
    title = f"Folds of {found.info.name}"
    count_bars.stacked_charts(charts, path, title=title, note=found.info.note())
    return ""


def draw_intensities(found: Survey, path: Path, rng: np.random.Generator) -> str:
    intensity_figures.intensity_histograms(
        pooled_tallies(found),
        found.info.channels,
        path,
        title=f"Intensities of {found.info.name}, as stored",
        note=found.info.note(),
    )
    if found.institutions:
        return ""
    return "all patients are drawn as one, since no institution is stored"


def draw_areas(found: Survey, path: Path, rng: np.random.Generator) -> str:
    if nothing := survey_tables.missing_masks(found):
        return nothing
    shares = survey_tables.area_shares(found).T
    of = dict(zip(survey_tables.mask_classes(found), shares, strict=True))
    title = f"Mask area in {found.info.name}"
    mask_figures.area_histograms(of, path, title=title, note=found.info.note())
    return ""


def draw_places(found: Survey, path: Path, rng: np.random.Generator) -> str:
    if nothing := survey_tables.missing_masks(found):
        return nothing
    counts = np.maximum((found.areas > 0).sum(0), 1)
    maps = {
        name: planes.as_shown(found.places[place], found.info.dimensions)
        / counts[place]
        for place, name in enumerate(survey_tables.mask_classes(found))
    }
    rows = rng.permutation(len(found.index))[:AVERAGED]
    head = data_survey.mean_picture(
        planes.middle_plane(found.read(int(row))["image"]) for row in rows
    )
    title = f"Where masks lie in {found.info.name}: shares of a class's examples"
    mask_figures.place_maps(maps, head, path, title=title, note=found.info.note())
    return ""


def draw_patients(found: Survey, path: Path, rng: np.random.Generator) -> str:
    """What the publisher's table says of the patients."""
    if not found.patient_table:
        return "left out, for the data set holds no table of its patients"
    patients = dict.fromkeys(found.index.patients)
    rows = [found.patient_table.get(patient, {}) for patient in patients]
    charts = {
        column.replace("_", " "): count_bars.column_counts(
            [row.get(column, "") for row in rows]
        )
        for column in dict.fromkeys(key for row in rows for key in row)
    }
    title = f"Patients of {found.info.name}, by the publisher's table and its codes"
    note = found.info.note()
    count_bars.count_charts(charts, path, columns=4, title=title, note=note)
    return ""


def highest_classes(found: Survey) -> dict[str, str]:
    """Of each patient, whose examples may be of several classes."""
    labels: dict[str, int] = {}
    pairs = zip(found.index.patients, found.index.labels.tolist(), strict=True)
    for patient, label in pairs:
        labels[patient] = max(label, labels.get(patient, label))
    return {patient: found.info.labels[label] for patient, label in labels.items()}


def pooled_tallies(found: Survey) -> dict[str, list[Tally]]:
    """Tallies of each channel over all volumes of an institution, or of all."""
    statistics = found.index.statistics
    volumes: dict[str, set[int]] = {}
    for patient, volume in zip(found.index.patients, statistics.volume, strict=True):
        place = found.institutions.get(patient, "all")
        volumes.setdefault(place, set()).add(int(volume))
    return {
        place: [
            tallies.merge(statistics.tallies[volume][channel] for volume in sorted(of))
            for channel in range(len(found.info.channels))
        ]
        for place, of in sorted(volumes.items())
    }
