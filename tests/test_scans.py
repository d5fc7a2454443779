"""NIfTI scans of any orientation, size and spacing, and masks back on their own grid."""

import dataclasses

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainseg_jax.data import info as data_info
from brainseg_jax.data import modalities, scans
from brainseg_jax.data.modalities import Case
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import scorable, seen_scans, volumes
from tests import small_scans
from tests.small_scans import (
    AXES,
    BRATS,
    LGG,
    affine_of,
    brightest,
    noise,
    restored,
    write_case,
)

compiled_once = small_scans.compiled_once


@pytest.mark.parametrize("axes", AXES)
def test_every_orientation_is_read_as_nibabels_canonical_one_and_comes_back(
    axes, tmp_path
):
    shape = (5, 4, 3)
    voxels = np.arange(60, dtype=np.int16).reshape(shape)
    image = nibabel.Nifti1Image(voxels, affine_of(axes, (1.0, 1.5, 2.5), shape, 0.3))
    assert "".join(nibabel.aff2axcodes(image.affine)) == axes
    image.to_filename(tmp_path / "a.nii")
    scan = scans.read(Case("a", (tmp_path / "a.nii",)), ["t1"])
    canonical = nibabel.as_closest_canonical(image)
    expected = np.asanyarray(canonical.dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(scan.image[..., 0], expected)
    sizes = nibabel.affines.voxel_sizes(canonical.affine)[::-1]
    np.testing.assert_allclose(scan.spacing, sizes, rtol=1e-5)
    np.testing.assert_array_equal(scans.to_file_order(scan.image[..., 0], scan), voxels)


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(*[st.integers(1, 11)] * 3),
    st.tuples(*[st.sampled_from([0.7, 1.0, 2.5, 6.0])] * 3),
    st.sampled_from(AXES),
)
def test_a_mask_is_written_on_the_scans_own_grid(
    tmp_path_factory, shape, spacing, axes
):
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    affine = affine_of(axes, spacing, shape, 0.2)
    parts = {name: noise(shape, seed) + (seed == 0) for seed, name in enumerate(BRATS)}
    write_case(folder, "a", parts, affine)
    found = modalities.find_volumes([folder])
    (row,) = volumes.predict(
        restored(BRATS, window=(4, 4, 4)), found, out, axis="axial"
    )
    mask = nibabel.load(out / "a_mask.nii.gz")
    first = nibabel.load(folder / "a_flair.nii.gz")
    expected = brightest(list(parts.values()))
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), expected)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, first.affine)
    for field in ("sform_code", "qform_code", "xyzt_units", "pixdim"):
        np.testing.assert_array_equal(mask.header[field], first.header[field])
    voxel = np.prod(spacing) / 1000
    assert row["voxels"] == (expected > 0).sum()
    assert row["ml_label_2"] == pytest.approx((expected == 2).sum() * voxel, abs=1e-3)


def test_only_labels_that_masks_have_get_a_column():
    labels = np.array([[[0, 1, 1]]], np.uint8)
    known = data_info.described(
        "a/b",
        channels=["t1"],
        classes={"tumour": [1, 2, 3]},  # trained on all, painted as one
        labels=["tumour"],
        painting=[("tumour", 1)],
    ).names_of_labels
    row = volumes.sizes(labels, (1.0, 10.0, 100.0), known)
    assert row == {"voxels": 2, "ml": 2.0, "ml_label_1": 2.0}


@settings(max_examples=8, deadline=None)
@given(
    st.tuples(*[st.sampled_from([0.5, 1.3, 2.0])] * 3),
    st.sampled_from(AXES),
)
def test_a_scan_of_another_spacing_is_resampled_and_back(
    tmp_path_factory, spacing, axes
):
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    shape = (25, 22, 23)
    affine = affine_of(axes, spacing, shape)
    x, y, z = (np.arange(n).reshape([-1 if k == a else 1 for k in range(3)])
               for a, n in enumerate(shape))  # fmt: skip
    ball = (x - 14) ** 2 + (y - 9) ** 2 + (z - 11) ** 2 < 49
    parts = {"flair": np.where(ball, 900, 0), "t1": np.where(ball, 0, 500)}
    write_case(folder, "a", parts, affine)
    net = restored(("flair", "t1"), window=(8, 8, 8), spacing=(1.0, 1.0, 1.0))
    volumes.predict(net, modalities.find_volumes([folder]), out, axis="axial")
    mask = nibabel.load(out / "a_mask.nii.gz")
    np.testing.assert_array_equal(mask.affine, affine.astype(np.float32))
    found = np.asanyarray(mask.dataobj) == 1
    # The middle of the ball is where it was, to less than half a voxel.
    middle = np.argwhere(found).mean(0) - np.argwhere(ball).mean(0)
    assert np.abs(middle).max() < 0.5
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.85


@pytest.mark.parametrize("axis", scans.AXES)
def test_a_model_of_slices_sees_a_volume_slice_by_slice(tmp_path, axis):
    shape = (7, 6, 5)
    parts = {name: noise(shape, k) for k, name in enumerate(("t1", "flair", "t1ce"))}
    write_case(tmp_path / "in", "a", parts, affine_of("LPS", (1, 1, 1), shape))
    found = modalities.find_volumes([tmp_path / "in"])
    net = restored(LGG, window=(4, 4))
    (row,) = volumes.predict(net, found, tmp_path / "out", axis)
    assert row["post_processed"] is False
    mask = nibabel.load(tmp_path / "out" / "a_mask.nii.gz")
    expected = brightest(list(parts.values()))
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), expected)
    rules = Rules(least_part=10**6)  # more than there is
    (row,) = volumes.predict(net, found, tmp_path / "out", axis, rules)
    assert row["post_processed"] is True and row["voxels"] == 0


def test_a_scan_has_the_numbers_of_training_where_they_fit(tmp_path):
    image = nibabel.Nifti1Image(np.full((2, 2, 2), 200, np.uint8), np.eye(4))
    image.to_filename(tmp_path / "a.nii")
    scan = scans.read(Case("a", (tmp_path / "a.nii",)), ["t1"])
    found = scans.in_dtype(scan, "int16")
    assert scan.image.dtype == np.uint8 and found.image.dtype == np.int16
    # By the largest value, as in training, and not by 255.
    assert seen_scans.scaling([found.image], {"name": "unit"}, ())[0, 3, 0] == 200
    wide = found._replace(image=found.image * 3)
    assert scans.in_dtype(wide, "uint8").image.dtype == np.int16
    assert scans.in_dtype(found, "uint8").image.dtype == np.uint8


def test_slices_are_seen_as_they_are_looked_at():
    marked = np.zeros((4, 5, 6))  # z y x: up, to the front, to the patient's right
    marked[3, 4, 5] = 1
    assert scans.slices(marked, "axial")[3, 0, 0]  # nose up, right at the left
    assert scans.slices(marked, "coronal")[4, 0, 0]  # crown up, right at the left
    assert scans.slices(marked, "sagittal")[5, 0, 0]  # crown up, nose at the left
    for axis in scans.AXES:
        back = scans.from_slices(scans.slices(marked, axis), axis)
        np.testing.assert_array_equal(back, marked)


def test_resampling_by_hand():
    ramp = np.arange(0, 80, 10, dtype=np.int16).reshape(8, 1, 1, 1)
    # Voxels twice as long: their middles lie between two of the old ones.
    assert scans.resized_shape((8, 1, 1), (1, 1, 1), (2, 1, 1)) == (4, 1, 1)
    found = scans.resize(ramp, (4, 1, 1))
    assert found.dtype == np.int16 and found.ravel().tolist() == [5, 25, 45, 65]
    assert scans.resized_shape((8, 9, 7), (1.004, 1, 1), (1, 1, 1)) == (8, 9, 7)


def test_a_set_of_other_voxels_is_not_scored(caplog):
    (trained, other) = (
        restored(("t1",), window=(4, 4, 4), spacing=(size,) * 3).record.about.info
        for size in (1.0, 2.5)
    )
    scorable.check_spacing(trained, trained)
    scorable.check_spacing(other, trained)  # of one set: told of
    assert "Most voxels of this split are of 2.5 x 2.5 x 2.5 mm" in caplog.text
    with pytest.raises(ValueError, match="a/c has voxels of 2.5 .* resample the raw"):
        scorable.check_spacing(dataclasses.replace(other, name="a/c"), trained)
