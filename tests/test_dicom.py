"""DICOM slices and series: read with their geometry, masks as segmentations of them."""

import json

import nibabel
import numpy as np
import pydicom
import pytest

from brainseg_jax.data import (
    dicom_files,
    dicom_names,
    dicom_segments,
    image_files,
    modalities,
    scans,
)
from tests import dicom_writers, tiny_nets
from tests.test_prediction_docs import is_known
from tests.test_predictions import given, picture, run  # noqa: F401


def bright(shape=(24, 24)):
    return picture([(3, 5, 4, 2)], shape).astype(np.uint16)


def masks_of(path):
    """Frames [n, h, w] of a segmentation, and the images that they are of."""
    found = pydicom.dcmread(path)
    frames = found.pixel_array.reshape(-1, found.Rows, found.Columns)
    uids = [
        one.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for one in found.PerFrameFunctionalGroupsSequence
    ]
    return found, frames, uids


def test_a_slice_is_predicted_and_its_segmentation_overlays_it(given, tmp_path):  # noqa: F811
    given(tiny_nets.restored())
    image = picture([(3, 5, 4, 2), (18, 1, 2, 2)]).astype(np.uint16)
    path = dicom_writers.write_slice(
        tmp_path / "in" / "a.dcm", image, position=(1, 2, 3), spacing=(0.5, 2.0)
    )
    (row,) = run(tmp_path)
    assert row["area_mm2"] == (8 + 4) * 0.5 * 2 and row["warnings"] == ""
    assert row["side"] == "right"  # the patient's, at the left of an axial picture
    found, frames, uids = masks_of(tmp_path / "out" / row["mask"])
    source = pydicom.dcmread(path)
    np.testing.assert_array_equal(frames, [source.pixel_array > 128])
    assert uids == [source.SOPInstanceUID]
    assert found.SegmentSequence[0].SegmentLabel == "tumour"
    shared = found.SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].PixelSpacing == [0.5, 2.0]
    place = found.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    assert place.ImagePositionPatient == [1, 2, 3]
    assert found.FrameOfReferenceUID == source.FrameOfReferenceUID


def test_a_source_without_its_header_is_told_of_at_the_end(given, tmp_path):  # noqa: F811
    given(tiny_nets.restored())
    for name in "ab":
        dicom_writers.write_slice(tmp_path / "in" / name / f"{name}.dcm", bright())
    path = tmp_path / "in" / "a" / "a.dcm"
    found = pydicom.dcmread(path)
    del found.StudyInstanceUID
    found.save_as(path)
    with pytest.raises(
        image_files.UnreadableImage, match="a_mask.dcm: its source lacks"
    ):
        run(tmp_path)
    assert (tmp_path / "out" / "b_mask.dcm").exists()


def test_an_empty_prediction_is_a_segmentation_too(given, tmp_path):  # noqa: F811
    given(tiny_nets.restored())
    dicom_writers.write_slice(tmp_path / "in" / "1.2.3", np.eye(24, dtype=np.uint16))
    (row,) = run(tmp_path)
    _, frames, _ = masks_of(tmp_path / "out" / row["mask"])
    assert row["pixels"] == 0 and not frames.any()


def test_another_modality_is_told_of(given, tmp_path):  # noqa: F811
    given(tiny_nets.restored())
    dicom_writers.write_slice(tmp_path / "in" / "a.dcm", bright(), modality="CT")
    assert run(tmp_path)[0]["warnings"] == "its modality is CT, not MR"


def test_a_series_is_a_volume_by_position_on_its_place_in_the_patient(tmp_path):
    volume = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    folder = dicom_writers.write_series(tmp_path / "a", volume, spacing=(0.5, 1.5))
    (found,) = dicom_files.find_series([tmp_path])
    image = dicom_files.as_nifti(found)
    assert found == folder
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), volume.T)
    # Column, row and slice: to the patient's left, back and up; RAS+ is right, front, up.
    np.testing.assert_allclose(
        image.affine,
        [[-1.5, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, 2, 5], [0, 0, 0, 1]],
    )
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")


OBLIQUE = (0.8, 0.6, 0, 0, 0, -1)


@pytest.mark.parametrize("orientation", [(0, 1, 0, 0, 0, -1), OBLIQUE])
def test_every_voxel_lies_where_its_slice_says(tmp_path, orientation):
    rng = np.random.default_rng(0)
    across, down = np.reshape(np.array(orientation, float), (2, 3))
    normal, series = np.cross(across, down), pydicom.uid.generate_uid()
    places = {}
    for number in (2, 0, 3, 1):
        image = rng.integers(0, 1000, (4, 5)).astype(np.uint16)
        position = np.array([3.0, -7, 11]) + 2.5 * number * normal
        dicom_writers.write_slice(
            tmp_path / f"{number}.dcm", image, position=np.round(position, 6),
            spacing=(0.5, 1.5), orientation=orientation, series=series,
        )  # fmt: skip
        for row, column in np.ndindex(image.shape):
            lps = position + column * 1.5 * across + row * 0.5 * down
            places[tuple(np.round(lps * [-1, -1, 1], 3))] = image[row, column]
    found = dicom_files.as_nifti(tmp_path)
    voxels = np.asanyarray(found.dataobj)
    for index in np.ndindex(voxels.shape):
        ras = np.round(found.affine @ [*index, 1], 3)[:3] + 0.0
        assert places[tuple(ras)] == voxels[index]


def test_a_case_is_a_series_for_each_sequence(tmp_path):
    volumes = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 5)).astype(np.uint16)
    for name, volume in zip(("P1_t1", "P1_flair"), volumes, strict=True):
        dicom_writers.write_series(tmp_path / name, volume)
    found = dicom_files.find_series([tmp_path])
    (case,) = modalities.group_cases(found, ("flair", "t1"))
    assert case.name == "P1"
    assert [folder.name for folder in case.files] == ["P1_flair", "P1_t1"]
    scan = scans.read(case, ("flair", "t1"))
    turned = volumes[::-1, :, ::-1, ::-1]  # from left and back to right and front
    np.testing.assert_array_equal(scan.image, np.moveaxis(turned, 0, -1))


def test_an_incomplete_series_is_refused(tmp_path):
    volume = np.zeros((5, 4, 4), np.uint16)
    folder = dicom_writers.write_series(tmp_path / "a", volume)
    next(p for p in folder.iterdir() if pydicom.dcmread(p).InstanceNumber == 3).unlink()
    with pytest.raises(image_files.UnreadableImage, match="lie 2 to 4 mm apart"):
        dicom_files.read_series(folder)
    dicom_writers.write_slice(folder / "other.dcm", volume[0])
    with pytest.raises(image_files.UnreadableImage, match="slices of several series"):
        dicom_files.read_series(folder)


def series_and_masks(tmp_path, net, given, also=()):  # noqa: F811
    """A series with a bright box, its row, and where the box is."""
    given(net)
    volume = np.zeros((6, 24, 24), np.uint16)
    volume[:, 2:22, 2:22] = 60
    volume[2:5, 4:10, 3:9] = 250
    volume[:, 0, 0] = 255
    folder = dicom_writers.write_series(
        tmp_path / "in" / "P1_t1", volume, spacing=(0.5, 2.0), step=3.0
    )
    (row,) = run(tmp_path, also=also)
    return folder, row, volume == 250


def test_a_series_gets_one_segmentation_that_overlays_its_slices(given, tmp_path):  # noqa: F811
    net = tiny_nets.restored(dtype="int16")
    folder, row, marked = series_and_masks(tmp_path, net, given, ["stl"])
    found, frames, uids = masks_of(tmp_path / "out" / row["mask"])
    sources = {
        one.dataset.SOPInstanceUID: int(one.dataset.InstanceNumber) - 1
        for one in dicom_files.read_series(folder)
    }
    drawn = np.zeros(marked.shape, np.uint8)
    for frame, uid in zip(frames, uids, strict=True):
        drawn[sources[uid]] = frame
    expected = marked.copy()
    expected[:, 0, 0] = True
    np.testing.assert_array_equal(drawn, expected)
    assert all(map(is_known, row))
    assert row["volume"] == "P1" and row["lesions"] == 2
    assert row["ml"] == pytest.approx(expected.sum() * 0.5 * 2 * 3 / 1000, abs=1e-3)
    assert row["side"] == "right"
    told = json.loads((tmp_path / "out" / "P1_lesions.json").read_text())
    assert told["lesions"][0]["diameter_mm"] == round(np.hypot(6 * 0.5, 6 * 2), 3)
    assert (tmp_path / "out" / "P1_mesh.stl").stat().st_size > 1000
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert said["predictions"] == [row] and said["failed"] == []


def test_a_classifier_sees_a_series_slice_by_slice(given, tmp_path):  # noqa: F811
    given(tiny_nets.restored(task="classification"))
    for place in range(3):
        dicom_writers.write_slice(tmp_path / "in" / f"{place}.dcm", bright())
    assert [row["class"] for row in run(tmp_path)] == ["no tumour"] * 3


def test_files_without_endings_are_known_by_their_content(tmp_path):
    path = dicom_writers.write_slice(tmp_path / "IM0001", bright())
    (tmp_path / "README").write_text("no picture")
    assert dicom_names.is_dicom(path)
    assert not dicom_names.is_dicom(tmp_path / "README")
    assert image_files.find_images([tmp_path]) == [path]


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = dicom_writers.write_slice(tmp_path / "a.dcm", bright())
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(image_files.UnreadableImage, match=r"a\.dcm cannot be read"):
        dicom_files.read(path)


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    path = dicom_writers.write_slice(tmp_path / "a.dcm", bright())
    monkeypatch.setattr(dicom_files, "pydicom", None)
    monkeypatch.setattr(dicom_segments, "highdicom", None)
    with pytest.raises(
        image_files.UnreadableImage, match=r"a\.dcm is DICOM.*\[dicom\]"
    ):
        dicom_files.read(path)
    with pytest.raises(ValueError, match=r"pip install 'brainseg_jax\[dicom\]'"):
        dicom_segments.write(tmp_path / "b.dcm", np.zeros((1, 2, 2), np.uint8), [], {})
