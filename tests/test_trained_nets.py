"""A trained net evaluates and predicts, and says what is amiss."""

import csv
import dataclasses
import json
import pathlib
import types

import cv2
import numpy as np
import pytest

from brainseg_jax.modes import evaluate, predict, train
from brainseg_jax.runs import restore


def test_evaluating_trained_patients_is_refused(finished):
    workdir = str(finished[0])
    with pytest.raises(ValueError, match=r"patients .* were trained on.*contaminated"):
        evaluate.evaluate(workdir, "fold_0")
    summary = evaluate.evaluate(workdir, "fold_0", allow_contaminated=True)
    assert 0 <= summary["patient_dice"] <= 1
    about = json.loads((finished[0] / "evaluation/fold_0/summary.json").read_text())
    assert "CONTAMINATED" in about["note"]


def test_evaluating_again_gives_the_scores_of_training(finished):
    workdir, summary = finished
    again = evaluate.evaluate(str(workdir))
    assert again == pytest.approx(summary)


def test_predicted_masks_are_those_that_were_scored(finished, data_dir, tmp_path):
    workdir, _ = finished
    restored = restore.restore(workdir)
    folds = restored.record.about.info.folds
    patient = next(name for name, fold in folds.items() if fold == 4)
    folder = next((data_dir / "raw").rglob(patient))
    rows = predict.predict(str(workdir), [str(folder)], str(tmp_path / "out"))
    with open(workdir / "evaluation/fold_4/metrics.csv") as file:
        scored = {row["key"]: row for row in csv.DictReader(file)}
    for row in rows:
        counts = scored[pathlib.Path(row["file"]).stem]
        expected = int(counts["true_positives"]) + int(counts["false_positives"])
        assert row["pixels"] == expected
        assert row["normalised_by"] == "5 slices"
    assert len(list((tmp_path / "out").glob("*_overlay.png"))) == 5


@pytest.mark.slow
def test_a_model_of_some_channels_is_scored_and_predicts_by_their_names(
    config, data_dir, tmp_path
):
    config.data.channels = ("FLAIR", "pre-contrast")
    config.augment.channel_dropout = 0.3
    config.epochs = 1
    summary = train.train(config, str(tmp_path / "run"))
    about = restore.read_best(tmp_path / "run").about
    assert about.info.channels == ("FLAIR", "pre-contrast")
    again = evaluate.evaluate(tmp_path / "run")
    np.testing.assert_allclose(again["loss"], summary["loss"], rtol=1e-5)
    patient = next((data_dir / "raw").rglob("*_1.tif")).parent
    # Pictures have the channels of their data set.
    predict.predict(str(tmp_path / "run"), [str(patient)], str(tmp_path / "masks"))
    assert list((tmp_path / "masks").glob("*_mask.tif"))


def test_a_lone_slice_says_that_it_is_alone(finished, data_dir, tmp_path, caplog):
    picture = next((data_dir / "raw").rglob("*_3.tif"))
    rows = predict.predict(str(finished[0]), [str(picture)], str(tmp_path / "out"))
    assert [row["normalised_by"] for row in rows] == ["lone slice"]
    assert "a lone slice" in caplog.text


def test_a_volume_of_one_colour_is_told_to_mean_nothing(finished, tmp_path, caplog):
    picture = tmp_path / "black.png"
    cv2.imwrite(str(picture), np.zeros((40, 50, 3), np.uint8))
    predict.predict(str(finished[0]), [str(picture)], str(tmp_path / "out"))
    assert "is of one colour" in " ".join(caplog.text.split())


def test_outputs_that_cannot_be_written_are_refused_first(finished, data_dir, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="--outputs=.* cannot be written"):
        predict.predict(
            str(finished[0]), [str(data_dir / "raw")], str(tmp_path / "file" / "out")
        )


def test_a_model_of_volumes_does_not_predict_pictures(
    finished, data_dir, tmp_path, monkeypatch
):
    record = restore.restore(finished[0]).record
    info = dataclasses.replace(record.about.info, dimensions=3)
    about = types.SimpleNamespace(config=record.about.config, info=info)
    restored = types.SimpleNamespace(record=record._replace(about=about))
    monkeypatch.setattr(restore, "restore", lambda workdir: restored)
    with pytest.raises(ValueError, match="model of volumes with 3 axes"):
        predict.predict(str(finished[0]), [str(data_dir / "raw")], str(tmp_path))


def test_predicting_into_the_inputs_is_refused(
    finished, data_dir, tmp_path, monkeypatch
):
    picture = next((data_dir / "raw").rglob("*_3.tif"))
    (tmp_path / "a_1.tif").write_bytes(picture.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="outside of the inputs"):
        predict.predict(str(finished[0]), [str(tmp_path)], "masks")
    assert not (tmp_path / "masks").exists()


def test_one_bad_picture_is_told_of_at_the_end(finished, data_dir, tmp_path):
    pictures = tmp_path / "in"
    pictures.mkdir()
    good = next((data_dir / "raw").rglob("*_3.tif")).read_bytes()
    (pictures / "a_1.tif").write_bytes(good)
    (pictures / "a_2.tif").write_bytes(good[:1000])
    with pytest.raises(ValueError, match=r"1 of 2 files could not .*\n.*a_2\.tif"):
        predict.predict(str(finished[0]), [str(pictures)], str(tmp_path / "out"))
    assert (tmp_path / "out" / "a_1_mask.tif").exists()
    assert not list(tmp_path.glob("out/a_2*"))
    said = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [row["file"][-7:] for row in said["predictions"]] == ["a_1.tif"]
    assert said["failed"][0]["file"].endswith("a_2.tif")
