"""What is written of a predicted scan: mask, planes, lesions, and on request a mesh."""

import json
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from absl import logging
from jaxtyping import UInt8

from brainseg_jax import files
from brainseg_jax.data import dicom_files, dicom_segments, meshes, scan_pictures, scans
from brainseg_jax.data.info import Info
from brainseg_jax.data.modalities import Case
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference import localise, localise_volume, outlines
from brainseg_jax.inference.localise import Lesion
from brainseg_jax.runs import pages

SIDES_SAID = "The patient's right is at the left of the pictures."
Row = dict[str, Any]


def write(
    stem: pathlib.Path,
    case: Case,
    scan: Scan,
    labels: UInt8[np.ndarray, "z y x"],
    info: Info,
    also: Collection[str] = (),
    remarks: Sequence[str] = (),
    true: UInt8[np.ndarray, "z y x"] | None = None,
) -> Row:
    """Its columns of `predictions.csv`; the page says the `remarks`, too.

    With the `true` labels both are drawn.
    """
    mask = write_mask(stem, case, scan, labels, info)
    scan_pictures.write_planes(stem.with_name(f"{stem.name}_overlay.png"), scan, labels)
    if true is not None:
        path = stem.with_name(f"{stem.name}_contours.png")
        outlines.write_of_scan(path, scan, labels, true)
    found = localise_volume.lesions(labels, scan)
    text = json.dumps({"case": case.name, "lesions": found}, indent=1)
    files.write_atomically(
        stem.with_name(f"{stem.name}_lesions.json"), f"{text}\n".encode()
    )
    for ending in set(also) & {*meshes.WRITERS}:
        _write_mesh(stem.with_name(f"{stem.name}_mesh.{ending}"), scan, labels)
    if "pages" in also:
        said = [_summary(found), SIDES_SAID, *remarks]
        page = stem.with_name(f"{stem.name}_page.png")
        pages.write_of_scan(page, case.name, scan, labels, said)
    return {"mask": mask.name, **localise.summary(found)}


def _summary(found: Sequence[Lesion]) -> str:
    millilitres = sum(one["ml"] for one in found)
    many = "lesion" if len(found) == 1 else "lesions"
    return f"{len(found)} {many}, {millilitres:.2f} ml in all"


def write_mask(
    stem: pathlib.Path,
    case: Case,
    scan: Scan,
    labels: UInt8[np.ndarray, "z y x"],
    info: Info,
) -> pathlib.Path:
    """In the files' own format: NIfTI, or of DICOM a segmentation of the first series."""
    series = case.files[0]
    if not series.is_dir():
        path = stem.with_name(f"{stem.name}_mask.nii.gz")
        return scans.write_mask(path, labels, scan)
    sources = [one.dataset for one in dicom_files.read_series(series)]
    frames = scans.to_file_order(labels, scan).transpose(2, 1, 0)
    path = stem.with_name(f"{stem.name}_mask.dcm")
    return dicom_segments.write(
        path, np.ascontiguousarray(frames), sources, info.names_of_labels
    )


def _write_mesh(
    path: pathlib.Path, scan: Scan, labels: UInt8[np.ndarray, "z y x"]
) -> None:
    marked = scans.to_file_order(labels, scan) > 0
    if not marked.any():
        logging.warning("%s: nothing is marked, so that there is no mesh.", path.name)
        return
    meshes.WRITERS[path.suffix[1:]](path, meshes.surface_of(marked, scan.affine))
