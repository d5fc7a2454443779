"""Predicted scans beside true masks: found by name, on the scan's grid, Dice by hand."""

import csv
import dataclasses

import cv2
import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from brainseg_jax.data import modalities
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.modalities import Case
from brainseg_jax.runs import scan_truth, volumes
from tests.small_scans import affine_of, restored, write_case
from tests.test_prediction_docs import is_known

SHAPE = (6, 5, 4)
AFFINE = affine_of("LPS", (1, 1, 1), SHAPE)
NET = restored(("flair", "t1"), window=(4, 4, 4))  # labels 1 and 2, the brighter one


def write_mask(path, labels, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(labels.astype(np.uint8), affine).to_filename(path)
    return path


def labels_of(count, label=1):
    """So many voxels of the label, the first there are, and one of label 2 at the end."""
    labels = np.zeros(SHAPE, np.uint8)
    labels.reshape(-1)[:count] = label
    labels[-1, -1, -1] = 2
    return labels


def write_scan(folder, name, count=8):
    """One that is predicted as labels_of(count)."""
    labels = labels_of(count)
    parts = {"flair": 900 * (labels == 1), "t1": 900 * (labels == 2)}
    return write_case(folder, name, parts, AFFINE)


def run(tmp_path, net=NET, true="truth"):
    found = modalities.find_volumes([tmp_path / "in"])
    return volumes.predict(
        net, found, tmp_path / "out", "axial", true=str(tmp_path / true)
    )


def test_a_scan_has_the_dice_of_its_mask_and_of_each_class(tmp_path, caplog):
    write_scan(tmp_path / "in", "a")
    write_scan(tmp_path / "in", "b")
    write_mask(tmp_path / "truth" / "a_seg.nii.gz", labels_of(4))
    with caplog.at_level("INFO"):
        own, other = run(tmp_path)
    # 4 and 1 of 8 and 1 voxels; of label 1 the 4 alone.
    assert (own["true_voxels"], own["true_and_marked"]) == (5, 5)
    assert own["dice"] == pytest.approx(10 / 14, abs=1e-6)
    assert own["dice_flair"] == pytest.approx(8 / 12, abs=1e-6)
    assert own["dice_t1"] == 1 and all(map(is_known, own))
    assert "dice" not in other and "1 of 2 scans have no mask" in caplog.text
    assert "Dice 0.714 of all that is marked, flair 0.667, t1 1.000" in caplog.text
    caplog.clear()
    with caplog.at_level("INFO"):
        run(tmp_path)  # from the table
    assert "Dice 0.714 of all" in caplog.text and "2 of 2 cases" in caplog.text


def test_truth_and_prediction_are_drawn_together(tmp_path):
    write_scan(tmp_path / "in", "a")
    write_scan(tmp_path / "in", "b")
    write_mask(tmp_path / "truth" / "a-seg.nii.gz", labels_of(8))
    write_mask(tmp_path / "truth" / "b_mask.nii.gz", labels_of(8)[::-1])
    run(tmp_path)
    agreed, apart = (
        cv2.imread(str(tmp_path / "out" / f"{name}_contours.png"))[..., ::-1]
        for name in "ab"
    )

    def has(picture, colour):
        return (picture == colour).all(-1).any()

    assert has(agreed, (255, 255, 0)) and not has(agreed, (255, 0, 0))
    assert has(apart, (255, 0, 0)) and has(apart, (0, 255, 0))


def test_another_mask_is_compared_anew(tmp_path):
    write_scan(tmp_path / "in", "a")
    write_mask(tmp_path / "truth" / "a.nii.gz", labels_of(8))
    assert run(tmp_path)[0]["dice"] == 1
    write_mask(tmp_path / "truth" / "a.nii.gz", labels_of(2))
    assert run(tmp_path)[0]["dice"] == pytest.approx(6 / 12)


@pytest.mark.parametrize("axes", ["RAS", "IPL", "SRA"])
def test_a_mask_may_have_its_axes_in_another_order(tmp_path, axes):
    write_scan(tmp_path / "in", "a")
    straight = nibabel.Nifti1Image(labels_of(5), AFFINE)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(AFFINE), nibabel.orientations.axcodes2ornt(axes)
    )
    turned = straight.as_reoriented(turn)
    (tmp_path / "truth").mkdir()
    turned.to_filename(tmp_path / "truth" / "a.nii.gz")
    assert "".join(nibabel.aff2axcodes(turned.affine)) == axes
    assert run(tmp_path)[0]["dice"] == pytest.approx(12 / 15)


def moved(by):
    affine = AFFINE.copy()
    affine[0, 3] += by
    return affine


def turned(degrees):
    """Around the line between two opposite corners of the RAS+ grid, which both stay."""
    corner = (AFFINE @ [SHAPE[0] - 1, SHAPE[1] - 1, 0, 1])[
        :3
    ]  # x and y point to L and P
    along = np.array(SHAPE) / np.linalg.norm(SHAPE)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * along).as_matrix()
    affine = AFFINE.copy()
    affine[:3, :3] = turn @ AFFINE[:3, :3]
    affine[:3, 3] = corner + turn @ (AFFINE[:3, 3] - corner)
    return affine


@pytest.mark.parametrize(
    "labels, affine, said",
    [
        (labels_of(8)[:-1], AFFINE, r"has 5 x 5 x 4 voxels.*its scan 6 x 5 x 4"),
        (labels_of(8), moved(2.0), r"lies up to 2 mm from its scan"),
        (labels_of(8), turned(20), r"lies up to 1\.\d+ mm from its scan"),
        (labels_of(8, label=7), AFFINE, r"has the label 7; those of .* are 1, 2\."),
        (np.zeros((*SHAPE, 2)), AFFINE, r"6 x 5 x 4 x 2 voxels of 0 to 0; a mask has 3"),
    ],
)  # fmt: skip
def test_a_mask_that_does_not_fit_fails_its_scan_alone(tmp_path, labels, affine, said):
    for name in "ab":
        write_scan(tmp_path / "in", name)
    write_mask(tmp_path / "truth" / "a_seg.nii.gz", labels, affine)
    write_mask(tmp_path / "truth" / "b_seg.nii.gz", labels_of(8), moved(0.01))
    with pytest.raises(UnreadableImage, match=rf"(?s)1 of 2 cases.*a_seg.*{said}"):
        run(tmp_path)
    assert not [*(tmp_path / "out").glob("a_*")]
    table = (tmp_path / "out" / "predictions.csv").read_text()
    bad, good = csv.DictReader(table.splitlines())
    assert "a_seg.nii.gz" in bad["fault"] and float(good["dice"]) == 1


def test_a_mask_between_labels_is_refused(tmp_path):
    write_scan(tmp_path / "in", "a")
    (tmp_path / "truth").mkdir()
    blurred = nibabel.Nifti1Image(labels_of(8) * np.float32(0.5), AFFINE)
    blurred.to_filename(tmp_path / "truth" / "a.nii.gz")
    with pytest.raises(UnreadableImage, match="between whole numbers.*nearest neigh"):
        run(tmp_path)


def test_masks_are_found_by_name_and_folder(tmp_path):
    for folder in ("P1", "P2"):
        write_mask(tmp_path / folder / "scan_seg.nii.gz", labels_of(1))
    cases = [
        Case("scan", (tmp_path / folder / "scan.nii.gz",)) for folder in ("P1", "P2")
    ]
    about = dataclasses.replace(NET.record.about, trained_patients=("P1", "P9"))
    found = scan_truth.find(str(tmp_path), cases, about)
    assert [found.masks[case].parent.name for case in cases] == ["P1", "P2"]
    assert found.note == "CONTAMINATED: 1 patients were trained on"
    write_mask(tmp_path / "P1" / "scan-mask.nii", labels_of(1))
    with pytest.raises(ValueError, match="may both be the mask of .*P1/scan.nii.gz"):
        scan_truth.find(str(tmp_path), cases, about)
    with pytest.raises(FileNotFoundError, match="no mask of other or another scan"):
        scan_truth.find(
            str(tmp_path), [Case("other", (tmp_path / "other.nii",))], about
        )
    with pytest.raises(FileNotFoundError, match="is no folder"):
        scan_truth.find(str(tmp_path / "none"), cases, about)
