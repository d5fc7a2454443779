"""Masks of scans, NIfTI files or DICOM series, on their own grid, by a run's best model."""

import collections
import pathlib
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from jaxtyping import UInt8
from rich.progress import track

from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.modalities import Case
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import (
    predicted,
    results,
    scan_labels,
    scan_outputs,
    scan_truth,
    seen_scans,
    truth,
    unlike,
)
from brainseg_jax.runs.familiarity import Judge
from brainseg_jax.runs.pictures import Unlike
from brainseg_jax.runs.predicted import Row
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored
from brainseg_jax.runs.scan_labels import Label
from brainseg_jax.runs.seen_scans import See
from brainseg_jax.runs.truth import Truth

NO_RULES = Rules()
NOBODY = Judge(None, {})


class Making(NamedTuple):
    """How a scan becomes labels, and what is told of it."""

    see: See
    label: Label
    unlike: Unlike | None
    truth: Truth | None


def predict(
    restored: Restored,
    found: Sequence[pathlib.Path],
    outputs: pathlib.Path,
    axis: str,
    rules: Rules = NO_RULES,
    also: Collection[str] = (),
    *,
    judge: Judge = NOBODY,
    true: str = "",
) -> list[Row]:
    """Writes a mask and a picture of every case; gives their rows of `predictions.csv`.

    `rules` mend the masks. Cases that an earlier command predicted the same way are left as
    they are, and those of other files keep their rows. `also` may have formats of
    data/meshes.py. `judge` tells of those far from the training images, `true` is a folder
    of masks to compare with.

    Raises:
        UnreadableImage: if cases cannot be read, once all others are written.
        ValueError: if the model gives no masks.
    """
    about = restored.record.about
    _check_task(restored.parts.task.name)
    cases = seen_scans.cases_of(found, about)
    _tell_missing(cases)
    known = scan_truth.find(true, cases, about) if true else None
    names = dict(zip(cases, output_names(cases), strict=True))
    measured = [judge.measured] if judge.unlike else []
    model = predicted.fingerprint(restored, axis, rules, sorted(also), *measured)
    made_from = _made_from(cases, model, known)
    kept = predicted.read_done(outputs)
    rows = {case: kept[made_from[case]] for case in cases if made_from[case] in kept}
    if rows:
        logging.info("%d of %d cases are predicted already.", len(rows), len(cases))
    see = seen_scans.make_see(about, axis)
    label = scan_labels.make_label(restored, rules)
    make = Making(see, label, judge.unlike, known)
    note = "; ".join(filter(None, (about.note, known.note if known else "")))
    left = [case for case in cases if case not in rows]
    predicted.tell_replaced(
        kept.values(), {names[case]: _named(case)["file"] for case in left}
    )
    others = predicted.others(kept.values(), names.values())
    if kept and left:  # before a mask that another row is about is replaced
        results.write(outputs, [*others, *rows.values()])
    for case in track(left, "predicting", transient=True):
        try:
            row = _predict_case(case, outputs / names[case], about, make, also)
            row |= {"post_processed": rules != NO_RULES, "note": note}
            rows[case] = row | {"made_from": made_from[case]}
        except UnreadableImage as error:
            logging.warning("%s", error)
            rows[case] = {**_named(case), "fault": str(error)}
        results.write(outputs, [*others, *(rows[one] for one in cases if one in rows)])
    if known:
        scan_truth.tell([*rows.values()], known)
    _refuse_faults([rows[case] for case in cases], outputs)
    return [rows[case] for case in cases]


def _check_task(name: str) -> None:
    if name != "segmentation":
        raise ValueError(
            f"The model is one of {name}; only models of masks alone (segmentation) "
            "predict NIfTI volumes."
        )


def _made_from(
    cases: Sequence[Case], model: str, known: Truth | None
) -> dict[Case, str]:
    """Fingerprints of the cases with their true masks, where they have one."""
    masks = known.masks if known else {}
    return {
        case: predicted.made_from(case, model, [masks[case]] if case in masks else [])
        for case in cases
    }


def _predict_case(
    case: Case, stem: pathlib.Path, about: About, make: Making, also: Collection[str]
) -> Row:
    scan = seen_scans.read(case, about)
    true = scan_truth.read(case, scan, make.truth)  # first: or nothing is written
    seen = make.see(scan)
    labels = make.label(seen)
    told = unlike.warnings_of(scan, seen, about, case.name, make.unlike)
    said = (*told, *filter(None, [about.note]))
    return {
        **_named(case),
        **scan_outputs.write(stem, case, scan, labels, about.info, also, said, true),
        **_compared(labels, true, make.truth),
        **sizes(labels, scan.spacing, about.info.names_of_labels),
        "missing": ";".join(case.missing),
        "warnings": "; ".join(told),
    }


def _compared(
    labels: UInt8[np.ndarray, "z y x"],
    true: UInt8[np.ndarray, "z y x"] | None,
    known: Truth | None,
) -> Row:
    if true is None or known is None:
        return {}
    return truth.compare(labels, true, known, "voxels")


def _named(case: Case) -> Row:
    return {"file": ";".join(map(str, case.files)), "volume": case.name}


def _refuse_faults(rows: Sequence[Row], outputs: pathlib.Path) -> None:
    faults = [row["fault"] for row in rows if "fault" in row]
    if faults and len(rows) == 1:
        raise UnreadableImage(faults[0])
    if faults:
        listed = "\n".join(faults)
        raise UnreadableImage(
            f"{len(faults)} of {len(rows)} cases could not be predicted; the masks of all "
            f"others are in {outputs}:\n{listed}"
        )


def sizes(
    labels: UInt8[np.ndarray, "z y x"],
    spacing: Sequence[float],
    written: Collection[int],
) -> dict[str, Any]:
    """Voxels and millilitres of all that is marked, and of each label that masks have."""
    counts = np.bincount(labels.reshape(-1), minlength=256)
    millilitres = float(np.prod(spacing)) / 1000
    return {
        "voxels": int(counts[1:].sum()),
        "ml": round(int(counts[1:].sum()) * millilitres, 3),
        **{
            f"ml_label_{one}": round(int(counts[one]) * millilitres, 3)
            for one in sorted(written)
        },
    }


def _tell_missing(cases: Sequence[Case]) -> None:
    for case in cases:
        if case.missing:
            logging.warning(
                "%s has no file for %s: given to the model as 0, as some were in training.",
                case.name,
                ", ".join(case.missing),
            )


def output_names(cases: Sequence[Case]) -> list[str]:
    """A name per case, where names repeat with its folder's before it, or the last two.

    Raises:
        ValueError: if two cases would have one name all the same.
    """
    names = [case.name for case in cases]
    for depth in (1, 2):
        count = collections.Counter(names)
        names = [
            name
            if count[name] == 1
            else "_".join([*_folders(case)[-depth:], case.name]).replace("/", "")
            for name, case in zip(names, cases, strict=True)
        ]
    first: dict[str, Case] = {}
    for name, case in zip(names, cases, strict=True):
        if name in first:
            raise ValueError(
                f"{first[name].files[0]} and {case.files[0]} would be written under the "
                f"same name, {name}. Predict them one at a time, each into --outputs of "
                "its own."
            )
        first[name] = case
    return names


def _folders(case: Case) -> tuple[str, ...]:
    return case.files[0].absolute().parent.parts
