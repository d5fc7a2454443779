"""--mode=pipeline from end to end: a classifier and a segmenter of the same phantom."""

import csv
import json

import cv2
import numpy as np
import pytest

from brainseg_jax.modes import pipeline, train
from brainseg_jax.reports.parts import two_stage_tables
from tests import tiny_classifier, tiny_config
from tests.test_main import run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(data_dir, tmp_path_factory):
    """Folders of both, trained on the same folds."""
    folder = tmp_path_factory.mktemp("runs")
    for name, tiny in (("classifier", tiny_classifier), ("segmenter", tiny_config)):
        config = tiny.get_config()
        config.data.data_dir = str(data_dir)
        train.train(config, str(folder / name))
    return folder


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def flags(runs, *others):
    folders = [f"--{name}={runs / name}" for name in ("classifier", "segmenter")]
    return ["--mode=pipeline", *folders, *map(str, others)]


def test_a_split_is_scored_beside_the_segmenter_alone(runs):
    status, printed = run(*flags(runs))
    assert status == 0, printed
    assert "Dice of patients, gained" in printed
    report = runs / "segmenter" / "pipeline" / "fold_4"
    said = json.loads((report / "summary.json").read_text())
    slices, patients = read(report / "slices.csv"), read(report / "patients.csv")
    assert [*slices[0]] == [*two_stage_tables.SLICES, "note"]
    assert said["slices_segmented"] + said["slices_spared"] == len(slices)
    assert said["note"] == patients[0]["note"] == "PHANTOM: synthetic data"
    # The segmenter alone scores what evaluate says it does.
    alone = json.loads(
        (runs / "segmenter" / "evaluation" / "fold_4" / "summary.json").read_text()
    )
    for score in ("patient_dice", "slice_dice", "slice_detection_accuracy"):
        assert said["scores"]["segmenter_alone"][score] == pytest.approx(
            alone[score], abs=1e-5
        )
    own = json.loads(
        (runs / "classifier" / "evaluation" / "fold_4" / "summary.json").read_text()
    )
    assert said["has_tumour"]["classifier"]["accuracy"] == pytest.approx(
        own["slice_accuracy"]
    )
    for row in slices:
        if row["classifier"] == "False":
            assert row["pixels_two_stages"] == "0"
        else:
            assert row["pixels_two_stages"] == row["pixels_segmenter_alone"]
    for name in ("confusion", "panels", "scores"):
        assert cv2.imread(str(report / f"{name}.png")) is not None


def test_pictures_are_classified_then_segmented(runs, data_dir, tmp_path):
    raw = next(data_dir.glob("raw/**/*_1.tif")).parent
    status, printed = run(*flags(runs, f"--inputs={raw}", f"--outputs={tmp_path}"))
    assert status == 0, printed
    rows = read(tmp_path / "predictions.csv")
    assert len(rows) == len([*raw.glob("*_[0-9].tif")])
    for row in rows:
        assert bool(row["mask"]) == (row["called"] == "True")
        if row["mask"]:
            mask = cv2.imread(str(tmp_path / row["mask"]), cv2.IMREAD_UNCHANGED)
            assert np.count_nonzero(mask) == int(row["pixels"])


def test_patients_that_were_trained_on_are_refused_unless_allowed(runs, tmp_path):
    folders = str(runs / "classifier"), str(runs / "segmenter")
    with pytest.raises(ValueError, match="were trained on"):
        pipeline.on_split(*folders, "fold_0")
    said = pipeline.on_split(
        *folders, "fold_0", outputs=str(tmp_path), allow_contaminated=True
    )
    assert "CONTAMINATED: 1 patients were trained on" in said["note"]
    assert "CONTAMINATED" in read(tmp_path / "confusion.csv")[0]["note"]
