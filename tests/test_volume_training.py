"""Volumes through the doors: trained in parts, resumed, scored in windows."""

import csv

import numpy as np
import pytest

from brainseg_jax.interrupt import Interrupted
from brainseg_jax.modes import evaluate, train
from brainseg_jax.runs import build, restore
from configs import residual_unet3d_brats
from tests import small
from tests.whole_runs import fingerprint, scores_of, stopping

pytestmark = pytest.mark.slow
REGIONS = ("WT", "TC", "ET")


@pytest.fixture
def volumes(brats_dir):
    """A function of a variant and of what to change: small, with everything switched on."""

    def make(variant="phantom", **changes):
        config = small.shrink(residual_unet3d_brats.get_config(variant))
        config.data.name = "brats2021/phantom"
        config.data.data_dir = str(brats_dir)
        config.compute_dtype = "float32"
        config.augment.channel_dropout = 0.2
        config.update_from_flattened_dict(changes)
        return config

    return make


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def test_a_resumed_run_on_volumes_equals_one_that_was_not_stopped(
    volumes, runs, monkeypatch, caplog
):
    """Law 3, with patches, augmentation in three dimensions and deep supervision."""
    with caplog.at_level("INFO"):
        summary = train.train(volumes(), runs / "whole")
    assert "a training step takes about" in caplog.text
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_run", stopping(1))
        with pytest.raises(Interrupted):
            train.train(volumes(), runs / "stopped")
    train.train(volumes(), runs / "stopped")
    (expected, step, record), (found, found_step, found_record) = (
        fingerprint(runs / name) for name in ("whole", "stopped")
    )
    assert (found, found_step) == (expected, step)
    assert scores_of(found_record) == scores_of(record)
    assert {f"patient_dice_{region}" for region in REGIONS} <= summary.keys()


def test_a_run_on_volumes_is_scored_again_from_its_checkpoint_alone(volumes, runs):
    summary = train.train(volumes(**{"data.channels": ("t2", "flair")}), runs / "two")
    again = evaluate.evaluate(runs / "two")
    assert again == pytest.approx(summary, nan_ok=True)
    assert restore.read_best(runs / "two").about.info.channels == ("t2", "flair")
    with open(runs / "two" / "evaluation" / "fold_4" / "patients.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} == {*REGIONS}
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    of_patient = {}
    for row in rows:  # of every region all voxels of the volume as it is stored
        voxels = sum(int(row[name]) for name in counts)
        assert of_patient.setdefault(row["patient"], voxels) == voxels


def test_labels_are_trained_and_the_same_regions_scored(volumes, runs):
    config = volumes("labels", **{"batch_size": 8, "optimizer.clip": 0.5})
    summary = train.train(config, runs / "labels")
    for region in REGIONS:
        assert np.isfinite(summary[f"patient_dice_{region}"])
    assert restore.restore(runs / "labels").parts.task.outputs == 4


def test_patches_cut_on_the_device_train_alike(volumes, runs):
    losses = {}
    for cache in ("host", "device"):
        workdir = runs / f"cache_{cache}"
        run = {"data.cache": cache, "epochs": 1, "data.test": ""}
        train.train(volumes(**run), workdir)
        (row,) = restore.read_best(workdir).progress.history
        losses[cache] = row["train_loss"], row["validation_loss"]
    assert losses["device"] == pytest.approx(losses["host"], rel=1e-4)
