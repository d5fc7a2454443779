"""Synthetic volumes as NIfTI files, oriented as BraTS publishes them."""

import pathlib

import nibabel
import numpy as np
from jaxtyping import Shaped

from datasets.synthetic import glioma


def write_case(folder: pathlib.Path, case: glioma.Case, step: float) -> None:
    """<folder>/<its name>_flair.nii.gz and so on, and _seg."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, voxels in {**case.images, "seg": case.labels}.items():
        write(folder / f"{folder.name}_{part}.nii.gz", voxels, step)


def write(
    path: pathlib.Path, slices: Shaped[np.ndarray, "slices rows columns"], step: float
) -> None:
    """Slices from below, rows from in front, columns from the left, as axes L, P and S."""
    voxels = slices[:, :, ::-1].transpose(2, 1, 0)
    affine = np.diag([-step, -step, step, 1.0])
    affine[1, 3] = step * (voxels.shape[1] - 1)
    nibabel.Nifti1Image(voxels, affine).to_filename(path)
