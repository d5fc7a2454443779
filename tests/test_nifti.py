"""NIfTI files read from bytes: the voxels and affines that nibabel gives."""

import threading

import nibabel
import numpy as np
import pytest

from datasets import ahead, nifti
from tests import small_cases

VOXELS = small_cases.parts_of(1)["t1"]


def assert_is_nibabels(image, path):
    image.to_filename(path)
    loaded, scan = nibabel.load(path), nifti.read(path.read_bytes())
    expected = np.asanyarray(loaded.dataobj)
    np.testing.assert_array_equal(scan.voxels, expected)
    assert scan.voxels.dtype == expected.dtype
    np.testing.assert_array_equal(scan.affine, loaded.affine)
    assert scan.axes == "".join(nibabel.aff2axcodes(loaded.affine))


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<f4", "<u4", ">f8"])
@pytest.mark.parametrize("ending", nifti.ENDINGS)
def test_numbers_of_any_type(tmp_path, dtype, ending):
    image = nibabel.Nifti1Image(VOXELS.astype(dtype), np.diag([2.0, 3.0, 4.0, 1.0]))
    assert_is_nibabels(image, tmp_path / f"scan{ending}")


def test_scaled_numbers(tmp_path):
    image = small_cases.oriented(VOXELS.astype(np.float32) / 7, "PIR")
    image.set_data_dtype(np.int16)  # stored so, with a slope
    assert_is_nibabels(image, tmp_path / "scan.nii.gz")


def test_the_second_version_and_extensions(tmp_path):
    image = nibabel.Nifti2Image(VOXELS, np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"a" * 99))
    assert_is_nibabels(image, tmp_path / "scan.nii.gz")


def test_an_affine_by_quaternion_alone(tmp_path):
    image = small_cases.oriented(VOXELS, "ASR")
    image.set_sform(None)
    assert_is_nibabels(image, tmp_path / "scan.nii.gz")


def test_a_fourth_axis_of_one_is_none(tmp_path):
    nibabel.Nifti1Image(VOXELS[..., None], np.eye(4)).to_filename(tmp_path / "scan.nii")
    scan = nifti.read((tmp_path / "scan.nii").read_bytes())
    np.testing.assert_array_equal(scan.voxels, VOXELS)


def test_work_done_ahead_is_in_order_and_bounded():
    held, most, guard = 0, 0, threading.Lock()

    def make(number):
        nonlocal held, most
        with guard:
            held += 1
            most = max(most, held)
        return number**2

    found = []
    for square in ahead.ahead(make, range(40), threads=3):
        found.append(square)
        with guard:
            held -= 1
    assert found == [number**2 for number in range(40)]
    assert most <= 4


def test_no_more_than_eight_at_once_by_itself(monkeypatch):
    monkeypatch.setattr(ahead, "processors", lambda: 96)
    started = []
    next(ahead.ahead(started.append, range(40)))
    assert len(started) <= 9


def test_what_work_done_ahead_raises_comes_in_its_turn():
    done = ahead.ahead(lambda number: 6 // number, [3, 2, 0, 1], threads=2)
    assert [next(done), next(done)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(done)
