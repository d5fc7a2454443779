"""Predictions beside true masks: found by name, Dice by hand, drawn together."""

import dataclasses

import cv2
import h5py
import numpy as np
import pytest

from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.modes import predict
from brainseg_jax.runs import truth
from brainseg_jax.runs.truth import Truth
from tests import tiny_nets
from tests.test_prediction_docs import is_known
from tests.test_predictions import write


@pytest.fixture
def given(monkeypatch):
    """Lets --workdir be a net that marks what is bright."""

    def give(net):
        monkeypatch.setattr(predict.ensembles, "restore_all", lambda _: net)
        return net

    return give(tiny_nets.restored())


def run(tmp_path, true="truth"):
    return predict.predict(
        "run", [str(tmp_path / "in")], str(tmp_path / "out"), true=str(tmp_path / true)
    )


def write_mask(path, boxes, value=255, shape=(24, 24)):
    mask = np.zeros(shape, np.uint8)
    for left, top, width, height in boxes:
        mask[top : top + height, left : left + width] = value
    path.parent.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(path), mask)
    return path


def test_a_picture_has_the_dice_of_its_mask(given, tmp_path, caplog):
    write(tmp_path / "in" / "p_1.png", [(4, 4, 4, 4)])
    write(tmp_path / "in" / "p_2.png", [])
    write(tmp_path / "in" / "q.png", [(4, 4, 4, 4)])
    write_mask(tmp_path / "truth" / "p_1_mask.tif", [(6, 4, 4, 4)])
    write_mask(tmp_path / "truth" / "p_2.png", [(0, 0, 4, 4)])
    with caplog.at_level("INFO"):
        one, missed, other = run(tmp_path)
    assert (one["true_pixels"], one["true_and_marked"], one["dice"]) == (16, 8, 0.5)
    assert (missed["true_pixels"], missed["dice"]) == (16, 0)
    assert "dice" not in other and all(map(is_known, one.keys() - {"each_lesion"}))
    assert "1 of 3 pictures have no mask" in caplog.text
    # Of the patient 2 * 8 / (16 + 16 + 16).
    assert "Dice 0.250, mean of 2 pictures; 0.333, mean of 1 pat" in caplog.text
    drawn = cv2.imread(str(tmp_path / "out" / "p_1_contours.png"))[..., ::-1]
    # Prediction ends at column 7, truth at 9, and both share a row of their edges.
    assert drawn[6, 4].tolist() == [0, 255, 0] and drawn[6, 9].tolist() == [255, 0, 0]
    assert drawn[4, 6].tolist() == [255, 255, 0]
    assert not (tmp_path / "out" / "q_contours.png").exists()


def test_nothing_is_written_of_a_picture_whose_truth_is_damaged(given, tmp_path):
    write(tmp_path / "in" / "a.png", [(4, 4, 4, 4)])
    write(tmp_path / "in" / "b.png", [(4, 4, 4, 4)])
    write_mask(tmp_path / "truth" / "a.png", []).write_bytes(b"x")
    write_mask(tmp_path / "truth" / "b.png", [])
    with pytest.raises(UnreadableImage, match="truth/a.png cannot be decoded"):
        run(tmp_path)
    assert not [*(tmp_path / "out").glob("a_*")] and [*(tmp_path / "out").glob("b_*")]


def test_another_mask_is_compared_anew(given, tmp_path):
    write(tmp_path / "in" / "a.png", [(4, 4, 4, 4)])
    write_mask(tmp_path / "truth" / "a.png", [(4, 4, 4, 4)])
    assert run(tmp_path)[0]["dice"] == 1
    write_mask(tmp_path / "truth" / "a.png", [(4, 4, 4, 12)])
    assert run(tmp_path)[0]["dice"] == 0.5


def test_masks_lie_beside_pictures_or_in_folders_of_the_same_names(given, tmp_path):
    for folder, width in (("P1", 4), ("P2", 8)):
        (tmp_path / "in").mkdir(exist_ok=True)
        write(tmp_path / "in" / folder / "s.png", [(4, 4, 4, 4)])
        write_mask(tmp_path / "truth" / folder / "s.png", [(4, 4, width, 4)])
        write_mask(tmp_path / "in" / folder / "s_mask.png", [(4, 4, width, 4)])
    for true in ("truth", "in"):
        assert [row["dice"] for row in run(tmp_path, true)] == [1, round(2 / 3, 6)]
    write_mask(tmp_path / "truth" / "P1" / "s_mask.png", [])
    with pytest.raises(ValueError, match=r"P1/s\.png.*may both be the mask of"):
        run(tmp_path)


def test_masks_of_the_figshare_set_are_read(tmp_path):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["cjdata/tumorMask"] = np.eye(4, 6, dtype=np.uint8).T
    mask = truth.read(tmp_path / "a.mat", (4, 6))
    np.testing.assert_array_equal(mask, np.eye(4, 6))
    with pytest.raises(UnreadableImage, match=r"a.mat is of \(4, 6\), its picture of"):
        truth.read(tmp_path / "a.mat", (6, 4))


def test_empty_masks_that_have_no_score_are_told_of(caplog):
    row = {"volume": "p", "pixels": 0, "true_pixels": 0, "true_and_marked": 0}
    with caplog.at_level("INFO"):
        truth.tell([{**row, "dice": float("nan")}], Truth({}, {}, "nan"))
    assert "Dice not defined, mean of 1 pictures; not defined, mean of" in caplog.text


def test_several_classes_have_a_dice_each():
    predicted, true = np.uint8([[1, 1, 2, 0]]), np.uint8([[1, 2, 2, 0]])
    known = Truth({}, {"core": (1,), "edema": (2,)}, "one")
    assert truth.compare(predicted, true, known) == {
        "true_pixels": 3,
        "true_and_marked": 3,
        "dice": 1,
        "dice_core": round(2 / 3, 6),
        "dice_edema": round(2 / 3, 6),
    }


def test_patients_that_were_trained_on_are_told_of(given, tmp_path):
    about = dataclasses.replace(given.record.about, trained_patients=("P1", "P9"))
    paths = [tmp_path / "P1" / "1.png", tmp_path / "all" / "P2_1.png"]
    for path in paths:
        write_mask(tmp_path / "truth" / path.name, [])
    found = truth.find(str(tmp_path / "truth"), paths, about)
    assert found.note == "CONTAMINATED: 1 patients were trained on"
    assert truth.find(str(tmp_path / "truth"), paths[1:], about).note == ""


@pytest.mark.parametrize("name", ["P1", "P1_07", "P1-07", "P1_flair_07", "P1.flair 7"])
def test_a_file_named_like_a_patient_that_was_trained_on_is_told_of(
    given, tmp_path, name
):
    about = dataclasses.replace(given.record.about, trained_patients=("P1", "P"))
    write_mask(tmp_path / "truth" / f"{name}.png", [])
    found = truth.find(str(tmp_path / "truth"), [tmp_path / f"{name}.jpg"], about)
    assert found.note == "CONTAMINATED: 1 patients were trained on"


def test_a_truth_that_cannot_be_is_refused(given, tmp_path, monkeypatch):
    write(tmp_path / "in" / "a.png")
    with pytest.raises(FileNotFoundError, match="is no folder; name that of the masks"):
        run(tmp_path)
    (tmp_path / "truth").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no mask of a.png or another"):
        run(tmp_path)
    net = tiny_nets.restored(task="classification")
    monkeypatch.setattr(predict.ensembles, "restore_all", lambda _: net)
    with pytest.raises(ValueError, match="the model gives classes; leave it out"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


def test_its_own_masks_are_not_taken_for_true_ones(given, tmp_path):
    write(tmp_path / "in" / "a.png", [(4, 4, 4, 4)])
    write_mask(tmp_path / "truth" / "b.png", [])
    with pytest.raises(ValueError, match="out lies in --truth=.*outside of it"):
        run(tmp_path, true=".")
    assert not (tmp_path / "out").exists()
