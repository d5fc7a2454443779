"""One checkpoint predicts every format as a process, and tells where tumours are."""

import csv
import json

import cv2
import h5py
import nibabel
import numpy as np
import pydicom
import pytest

from datasets.synthetic import pictures
from tests import dicom_writers
from tests.test_main import ROOT, run


def read_rows(path):
    with path.open() as file:
        return {row["mask"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run on grey synthetic slices."""
    folder = tmp_path_factory.mktemp("formats")
    raw = pictures.write_pairs(folder / "raw", patients=6, slices=4)
    status, printed = run(
        f"--config={ROOT / 'tests' / 'tiny_folder.py'}",
        f"--workdir={folder / 'run'}",
        f"--config.data.data_dir={folder / 'data'}",
        f"--config.data.raw_dir={raw}",
    )
    assert status == 0, printed
    return folder / "run"


def write_pictures(folder, image):
    folder.mkdir()
    for name in ("a.png", "b.tif", "c.jpg"):
        cv2.imwrite(str(folder / name), image)
    with h5py.File(folder / "d.mat", "w") as file:
        file["cjdata/image"] = image.T.astype(np.int16)
    dicom_writers.write_slice(
        folder / "e.dcm", image.astype(np.uint16), spacing=(0.5, 0.5)
    )
    (folder / "f.png").write_bytes(b"no picture")


@pytest.mark.slow
def test_every_format_of_pictures(workdir, tmp_path):
    image = cv2.imread(
        str(next((workdir.parent / "raw" / "images").iterdir())), cv2.IMREAD_UNCHANGED
    )
    write_pictures(tmp_path / "in", image)
    out = tmp_path / "out"
    command = (
        "--mode=predict", f"--workdir={workdir}", f"--inputs={tmp_path / 'in'}",
        f"--outputs={out}", "--also=pages,contours,probabilities",
    )  # fmt: skip
    status, printed = run(*command)
    assert status == 1 and "1 of 6 files could not be predicted" in printed, printed
    assert "f.png cannot be decoded" in printed
    rows = read_rows(out / "predictions.csv")
    expected = {"a_mask.png", "b_mask.tif", "c_mask.png", "d_mask.mat", "e_mask.dcm"}
    assert rows.keys() == expected
    for name in ("a_mask.png", "b_mask.tif", "c_mask.png"):
        mask = cv2.imread(str(out / name), cv2.IMREAD_UNCHANGED)
        assert mask.shape == image.shape and mask.all()
    with h5py.File(out / "d_mask.mat") as file:
        assert file["cjdata/tumorMask"].shape == image.T.shape
    segments = pydicom.dcmread(out / "e_mask.dcm")
    assert segments.Modality == "SEG" and segments.pixel_array.all()
    area = float(rows["e_mask.dcm"]["area_mm2"])
    assert area == image.size * 0.25 and rows["a_mask.png"]["lesions"] == "1"
    assert len(list(out.glob("*_contours.json"))) == 5
    assert len(list(out.glob("*_page.png"))) == 5  # each a patient of its own
    assert len(json.loads((out / "predictions.json").read_text())["predictions"]) == 5
    status, printed = run(*command)
    assert status == 1 and "5 of 6 images are predicted already" in printed, printed


@pytest.mark.slow
def test_every_format_of_scans(workdir, tmp_path):
    rng = np.random.default_rng(0)
    volume = rng.integers(1, 255, (6, 20, 24)).astype(np.uint16)
    dicom_writers.write_series(tmp_path / "in" / "S1", volume, spacing=(1.0, 2.0))
    scan = nibabel.Nifti1Image(volume.T.astype(np.int16), np.diag([2.0, 1, 3, 1]))
    scan.to_filename(tmp_path / "in" / "n.nii.gz")
    out = tmp_path / "out"
    status, printed = run(
        "--mode=predict", f"--workdir={workdir}", f"--inputs={tmp_path / 'in'}",
        f"--outputs={out}", "--also=pages,stl,obj",
    )  # fmt: skip
    assert status == 0, printed
    rows = read_rows(out / "predictions.csv")
    assert rows.keys() == {"S1_mask.dcm", "n_mask.nii.gz"}
    assert pydicom.dcmread(out / "S1_mask.dcm").NumberOfFrames == 6
    mask = nibabel.load(out / "n_mask.nii.gz")
    assert mask.shape == (24, 20, 6) and (mask.affine == scan.affine).all()
    assert float(rows["n_mask.nii.gz"]["ml"]) == pytest.approx(volume.size * 6 / 1000)
    for case in ("S1", "n"):
        for end in ("overlay.png", "lesions.json", "mesh.stl", "mesh.obj", "page.png"):
            assert (out / f"{case}_{end}").exists()


@pytest.mark.slow
def test_tumours_are_localised(workdir, tmp_path):
    out = tmp_path / "out"
    status, printed = run(
        "--mode=localise", f"--workdir={workdir}", f"--outputs={out}", "--split=fold_4"
    )
    assert status == 0, printed
    with (out / "lesions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["of"] for row in rows} == {"true", "predicted"}
    drawn = next(out.glob("*_contours.json"))
    assert json.loads(drawn.read_text())["contours"]
    assert drawn.with_suffix(".png").exists()
