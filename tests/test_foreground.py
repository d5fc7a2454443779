"""One class of all labels of the mask, from a config to the masks that are predicted."""

import csv

import cv2
import numpy as np
import pytest

from brainseg_jax.modes import evaluate, predict, train
from brainseg_jax.runs import restore
from tests import small_slices, tiny_config


@pytest.fixture
def config(tmp_path):
    raw = small_slices.write_tree(tmp_path / "raw")
    small_slices.build(raw, tmp_path / "data")
    config = tiny_config.get_config()
    config.data.name = "figshare_brain_tumor/phantom"
    config.data.data_dir = str(tmp_path / "data")
    config.data.normalisation = {"name": "volume_unit"}
    config.data.tumour_share = 0.0
    config.task.foreground = "tumour"
    config.epochs = 1
    return config


@pytest.mark.slow
def test_a_checkpoint_knows_its_foreground(config, tmp_path):
    workdir = tmp_path / "run"
    config.evaluation.threshold = 0.0  # whatever the weights, all is tumour
    trained = train.train(config, str(workdir))
    again = evaluate.evaluate(workdir, "fold_4")
    assert trained == again and again["patient_recall"] == 1
    about = restore.restore(workdir).record.about
    assert about.info.classes == {"tumour": [1, 2, 3]}
    with (workdir / "evaluation/fold_4/patients.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == {"tumour"}
    assert {row["label"] for row in rows} <= {"meningioma", "glioma", "pituitary"}

    picture = np.full((24, 30), 100, np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    predict.predict(str(workdir), [str(tmp_path / "a.png")], str(tmp_path / "out"))
    mask = cv2.imread(str(tmp_path / "out/a_mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (24, 30) and set(np.unique(mask)) == {1}
