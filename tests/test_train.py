"""Training end to end on a small phantom: resuming, extending, starting from weights."""

import csv
import functools
import json

import jax
import numpy as np
import pytest

from brainseg_jax import parallel
from brainseg_jax.interrupt import Interrupted
from brainseg_jax.modes import evaluate, train
from brainseg_jax.runs import build, restore
from tests.whole_runs import fingerprint, scores_of, stopping


@pytest.mark.parametrize(
    "part, after",
    [
        ("train_step", 1),
        ("train_step", 4),
        ("eval_step", 1),
    ],
)
def test_resumed_run_equals_uninterrupted_run(
    finished, config, unscored, tmp_path, monkeypatch, part, after
):
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_run", stopping(after, part=part))
        with pytest.raises(Interrupted) as stopped:
            train.train(config, str(tmp_path))
    assert stopped.value.status == 143
    train.train(config, str(tmp_path))
    expected, step, record = fingerprint(finished[0])
    found, found_step, found_record = fingerprint(tmp_path)
    assert (found, found_step) == (expected, step)
    assert scores_of(found_record) == scores_of(record)


def test_a_finished_run_says_so_and_changes_nothing(finished, config):
    workdir, _ = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.rglob("*.*")}
    assert train.train(config, str(workdir)) is None
    after = {path: path.stat().st_mtime_ns for path in workdir.rglob("*.*")}
    del before[workdir / ".lock"], after[workdir / ".lock"]
    assert after == before


def test_more_epochs_extend_a_run(config, unscored, tmp_path):
    config.epochs = 1
    train.train(config, str(tmp_path))
    config.epochs = 2
    train.train(config, str(tmp_path))
    _, _, record = fingerprint(tmp_path)
    assert [row["epoch"] for row in record.progress.history] == [1, 2]


def test_the_run_is_understood_from_its_folder(finished):
    workdir, summary = finished
    about = json.loads((workdir / "config.json").read_text())
    assert about["config"]["model"]["name"] == "resunet"
    assert about["environment"]["packages"]["jax"] == jax.__version__
    assert set(about["data"]["folds"]) >= set(about["trained_patients"])
    with open(workdir / "history.csv") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2"]
    report = workdir / "evaluation" / "fold_4"
    with open(report / "metrics.csv") as file:
        slices = list(csv.DictReader(file))
    with open(report / "patients.csv") as file:
        patients = list(csv.DictReader(file))
    # Counts of a slice cover its 256 x 256 pixels, at the stored resolution.
    parts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert all(sum(int(row[part]) for part in parts) == 256**2 for row in slices)
    assert len({row["patient"] for row in slices}) == len(patients)
    written = json.loads((report / "summary.json").read_text())
    assert written["patient_dice"] == pytest.approx(summary["patient_dice"])
    assert written["note"].startswith("PHANTOM")
    mean = np.mean([float(row["dice"]) for row in patients])
    assert written["patient_dice"] == pytest.approx(mean, abs=1e-5)
    # Slices have no spacing; the scores over patients are those of the table.
    assert {row["unit"] for row in patients} == {"pixels"}
    (dice,) = [
        row
        for row in written["over_patients"]
        if row["score"] == "dice" and row["institution"] == "all"
    ]
    assert dice["mean"] == pytest.approx(mean) and dice["n"] == len(patients)
    assert dice["low"] == pytest.approx(written["patient_dice_low"], abs=1e-5)
    places = {row["institution"] for row in written["over_patients"]}
    assert len(places) > 1 and {row["score"] for row in written["over_patients"]} >= {
        "hd95", "assd", "nsd", "volume_difference",
    }  # fmt: skip
    for picture in ("training.png", "panels.png", "patients.png"):
        assert (report / picture).stat().st_size > 10_000
    assert list((workdir / "logs").glob("events.*"))


def test_a_split_that_does_not_fit_on_the_device_stays_on_the_host(
    config, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(parallel.Devices, "free_bytes", lambda self: 1000)
    run = build.make_run(config, tmp_path)
    assert not run.resident and not run.validation_resident
    said = " ".join(caplog.text.split())
    assert "cache=host is used" in said and "1,000 free on each device" in said


def test_a_loss_that_is_not_finite_stops_the_run(config, tmp_path):
    config.schedule.rate = 1e30
    config.optimizer.clip = 0.0
    with pytest.raises(FloatingPointError, match=r"At step \d+ .* Examples .*PHANTOM"):
        train.train(config, str(tmp_path))


def test_patients_that_chose_an_earlier_runs_epoch_are_remembered(
    finished, config, tmp_path, caplog
):
    # fold_1 chose the first run's epoch; it says nothing new of the second one's weights.
    config.init_from, config.epochs = str(finished[0]), 1
    config.data.train, config.data.validation = "fold_0+fold_2+fold_3", "fold_4"
    config.data.test = "fold_1"
    train.train(config, str(tmp_path))
    assert "chose its epoch by" in " ".join(caplog.text.split())
    about = json.loads((tmp_path / "evaluation/fold_1/summary.json").read_text())
    patients = restore.read_best(finished[0]).choice.patients
    assert (
        f"VALIDATION: the epoch was chosen by {len(patients)} patients" in about["note"]
    )


def test_without_a_test_split_the_validation_split_is_scored(config, tmp_path):
    config.data.train, config.data.test = "fold_0+fold_2+fold_3+fold_4", ""
    config.epochs = 1
    assert train.train(config, str(tmp_path)) is not None
    about = json.loads((tmp_path / "evaluation/fold_1/summary.json").read_text())
    # One epoch was evaluated, so that none was chosen.
    assert "VALIDATION" not in about["note"]
    assert about["leaks"]["patients_that_chose_the_epoch"] == 0
    assert train.train(config, str(tmp_path)) is None


def test_a_run_stopped_in_its_first_epoch_can_be_scored(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_run", stopping(1))
        with pytest.raises(Interrupted):
            train.train(config, str(tmp_path))
    evaluate.evaluate(str(tmp_path))
    # Averaged weights have statistics of training batches, not those of the beginning.
    stats = jax.tree.leaves(restore.restore(tmp_path).variables["batch_stats"])
    assert all((leaf != 0).any() and (leaf != 1).any() for leaf in stats)
    report = tmp_path / "evaluation" / "fold_4"
    assert (report / "summary.json").exists() and not (report / "training.png").exists()


def test_waiting_for_steps_before_a_checkpoint_is_part_of_the_steps(
    config, unscored, tmp_path
):
    config.epochs, config.checkpoint.every_steps = 1, 1
    train.train(config, str(tmp_path))
    with open(tmp_path / "history.csv") as file:
        (row,) = csv.DictReader(file)
    parts = ("data", "step", "evaluation")
    spent = sum(float(row[f"seconds_{part}"]) for part in parts)
    spent += float(row["seconds_checkpoint"])
    assert spent > 0.9 * float(row["seconds"])


@pytest.mark.parametrize("cache", ["host", "none"])
def test_every_cache_trains_the_same(finished, config, unscored, tmp_path, cache):
    config.data.cache = cache
    train.train(config, str(tmp_path))
    _, _, record = fingerprint(tmp_path)
    _, _, expected = fingerprint(finished[0])
    for row, other in zip(scores_of(record), scores_of(expected), strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=2e-3)
        assert row["validation_loss"] == pytest.approx(
            other["validation_loss"], rel=2e-3
        )


def test_starting_from_another_runs_weights(finished, config, unscored, tmp_path):
    config.init_from = str(finished[0])
    config.epochs = 1
    config.schedule.rate = 1e-9
    config.ema_decay = 0.0
    train.train(config, str(tmp_path))
    own = restore.restore(tmp_path).variables["params"]
    # The other run's average, which is what it evaluates with.
    other = restore.restore(finished[0]).variables["params"]
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), own, other)


@pytest.mark.slow  # test_epochs has the rules
def test_plateau_and_patience_end_a_run_that_does_not_improve(config, tmp_path):
    config.epochs = 6
    config.schedule.name = "plateau"
    config.schedule.patience = 1
    config.schedule.rate = 1e-12  # nothing changes, so nothing improves
    config.ema_decay = 0.0
    config.evaluation.metric = "slice_detection_accuracy"
    config.evaluation.patience = 2
    train.train(config, str(tmp_path))
    _, _, record = fingerprint(tmp_path)
    assert len(record.progress.history) == 3
    assert record.progress.history[2]["learning_rate"] == pytest.approx(1e-13)
