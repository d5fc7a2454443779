"""Cross-validations of seconds: as a process that is stopped, and of every task."""

import csv
import json
import shutil
import signal

import pytest

from brainseg_jax.interrupt import Interrupted
from brainseg_jax.modes import crossval, evaluate, explain, postprocess, predict, train
from brainseg_jax.runs import build, ensembles
from tests import small_slices, test_volume_training, tiny_classifier, tiny_two_heads
from tests.test_main import TINY, run, start, wait_for
from tests.test_volume_training import volumes  # noqa: F401
from tests.whole_runs import fingerprint, scores_of, stopping

pytestmark = pytest.mark.slow


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_two_folds_as_processes(data_dir, tmp_path):
    """Stopped in the second fold, gone on with, compared, and predicted with."""
    common = [
        "--mode=crossval", f"--config={TINY}", "--folds=2",
        f"--config.data.data_dir={data_dir}", "--config.checkpoint.every_steps=1",
    ]  # fmt: skip
    first = [*common, f"--workdir={tmp_path / 'cv'}"]
    process = start(*first)
    wait_for(tmp_path / "cv" / "fold_1" / "checkpoints" / "1")
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 143, out + errors
    assert "fold 2 of 2: tests fold_1; fold_2 chooses" in errors
    done = tmp_path / "cv" / "fold_0" / "evaluation" / "fold_0" / "summary.json"
    finished = done.stat().st_mtime_ns

    status, printed = run(*first)
    assert status == 0, printed
    assert "out of fold: 2 of 5 folds" in " ".join(printed.split())
    assert done.stat().st_mtime_ns == finished  # not run again
    report = tmp_path / "cv" / "evaluation" / "out_of_fold"
    summary = json.loads((report / "summary.json").read_text())
    assert summary["checkpoint_step"].keys() == {"fold_0", "fold_1"}
    assert "PHANTOM" in summary["note"] and "CONTAMINATED" not in summary["note"]
    rows = rows_of(report / "patients.csv")
    patients = {}
    for name in ("fold_0", "fold_1"):
        own = tmp_path / "cv" / name / "evaluation" / name / "patients.csv"
        patients |= {row["patient"]: row["dice"] for row in rows_of(own)}
        assert {r["patient"] for r in rows if r["fold"] == name} == {
            row["patient"] for row in rows_of(own)
        }
    assert {row["patient"]: row["dice"] for row in rows} == patients
    mean = sum(map(float, patients.values())) / len(patients)
    assert summary["patient_dice"] == pytest.approx(mean, abs=1e-6)
    spread = rows_of(report / "folds.csv")
    assert [(r["fold"], int(r["n"])) for r in spread if r["score"] == "dice"] == [
        ("all", 3), ("fold_0", 1), ("fold_1", 2),
    ]  # fmt: skip
    for name in ("folds.png", "training.png", "patients.png", "panels.png"):
        assert (report / name).is_file()
    status, printed = run(*first)
    assert status == 0 and "all is trained and scored" in printed
    status, printed = run(*first, "--config.seed=3")
    assert status == 1 and "config.seed: 0 in the checkpoint, 3 now" in printed

    status, printed = run(
        *common, f"--workdir={tmp_path / 'other'}", "--config.schedule.rate=5e-3"
    )
    assert status == 0, printed
    both = f"--workdir={tmp_path / 'cv'},{tmp_path / 'other'}"
    status, printed = run("--mode=compare", both)
    assert status == 0, printed
    compared = tmp_path / "cv" / "compare"
    pair = rows_of(compared / "pairs.csv")[0]
    assert (pair["run"], pair["patients"]) == ("other", str(len(patients)))
    assert (compared / "grid.png").is_file()

    workdir = f"--workdir={tmp_path / 'cv'}"
    status, printed = run("--mode=evaluate", workdir, "--split=fold_0")
    assert status == 1 and "were trained on" in printed
    assert "Without --split each patient" in printed
    status, printed = run("--mode=postprocess", workdir)
    assert status == 0, printed
    card = json.loads((tmp_path / "cv" / "card.json").read_text())
    assert (card["chosen_on"], card["patients"]) == ("fold_1+fold_2", 4)
    raw = next(path for path in (data_dir / "raw").rglob("TCGA_*") if path.is_dir())
    outputs = tmp_path / "masks"
    status, printed = run(
        "--mode=predict", workdir, f"--inputs={raw}", f"--outputs={outputs}"
    )
    assert status == 0, printed
    assert len(list(outputs.glob("*_mask.tif"))) == 5
    assert rows_of(outputs / "predictions.csv")[0]["note"].startswith("ENSEMBLE of 2")


def test_a_classifier_is_cross_validated(data_dir, tmp_path):
    config = tiny_classifier.get_config()
    config.data.data_dir = str(data_dir)
    summary = crossval.cross_validate(config, tmp_path, count=2)
    report = tmp_path / "evaluation" / "out_of_fold"
    rows = rows_of(report / "patients.csv")
    mean = sum(float(row["accuracy"]) for row in rows) / len(rows)
    assert summary["patient_accuracy"] == pytest.approx(mean, abs=1e-6)
    assert {row["fold"] for row in rows} == {"fold_0", "fold_1"}
    assert (report / "folds.png").is_file() and (report / "roc.png").is_file()
    assert crossval.cross_validate(config, tmp_path, count=1) is None
    postprocess.choose(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["chosen_on"] == "fold_1+fold_2" and card["patients"] > 1


def test_two_heads_are_cross_validated_and_averaged(tmp_path):
    raw = small_slices.write_tree(tmp_path / "raw", patients=15)
    small_slices.build(raw, tmp_path / "data")
    config = tiny_two_heads.get_config()
    config.data.data_dir = str(tmp_path / "data")
    crossval.cross_validate(config, tmp_path / "cv", count=2)
    report = tmp_path / "cv" / "evaluation" / "out_of_fold"
    for head in ("mask", "label"):
        rows = rows_of(report / head / "patients.csv")
        assert {row["fold"] for row in rows} == {"fold_0", "fold_1"}
        assert (report / head / "folds.csv").is_file()
    # Of the same net twice, masks and classes are as they were.
    single, copy = tmp_path / "cv" / "fold_0", tmp_path / "copy"
    shutil.copytree(single, copy)
    one, two = (evaluate.evaluate(named) for named in (str(single), f"{single},{copy}"))
    assert two == pytest.approx(one, rel=1e-4, abs=1e-4, nan_ok=True)
    rows = predict.predict(
        str(tmp_path / "cv"), [str(next(raw.rglob("*.mat")))], str(tmp_path / "out")
    )
    assert rows[0]["note"].startswith("ENSEMBLE of 2")


def test_volumes_are_cross_validated(volumes, tmp_path):  # noqa: F811
    summary = crossval.cross_validate(volumes(), tmp_path, count=2)
    rows = rows_of(tmp_path / "evaluation" / "out_of_fold" / "patients.csv")
    assert {row["class"] for row in rows} == {*test_volume_training.REGIONS}
    assert {row["fold"] for row in rows} == {"fold_0", "fold_1"}
    assert "patient_dice" in summary
    assert ensembles.restore_all(tmp_path).parts.model.members
    postprocess.choose(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["chosen_on"] == "fold_1+fold_2" and card["tried"] > 1
    found = explain.explain(str(tmp_path), [], str(tmp_path / "explained"))
    assert {row["patient"] for row in found} <= {row["patient"] for row in rows}


def test_a_run_with_restarts_resumes_bit_for_bit_and_keeps_snapshots(
    config, tmp_path, monkeypatch
):
    """Law 3, with a cosine that begins anew after each of two epochs."""
    config.schedule.cycle_epochs, config.epochs = 1, 2
    whole = tmp_path / "whole"
    train.train(config, whole)
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_run", stopping(4))
        with pytest.raises(Interrupted):
            train.train(config, tmp_path / "stopped")
    train.train(config, tmp_path / "stopped")
    for part in ("", "snapshots/cycle_1", "snapshots/cycle_2"):
        (expected, step, record), (found, found_step, found_record) = (
            fingerprint(tmp_path / name / part) for name in ("whole", "stopped")
        )
        assert (found, found_step) == (expected, step)
        assert scores_of(found_record) == scores_of(record)
    both = str(whole / "snapshots")
    restored = ensembles.restore_all(both)
    assert restored.record.about.note.startswith("ENSEMBLE of 2")
    summary = evaluate.evaluate(both)
    report = whole / "snapshots" / "evaluation" / "fold_4" / "summary.json"
    said = json.loads(report.read_text())
    assert said["patient_dice"] == summary["patient_dice"]
    assert said["checkpoint_step"].keys() == {"cycle_1", "cycle_2"}
    rates = [row["learning_rate"] for row in record.progress.history]
    assert rates[0] < 0.5 * config.schedule.rate  # at the end of its cycle
    # More epochs are more cycles; those that were trained stay as they are.
    kept = fingerprint(whole / "snapshots" / "cycle_2")[0]
    config.epochs = 3
    train.train(config, whole)
    assert len(ensembles.runs_of(both)) == 3
    assert fingerprint(whole / "snapshots" / "cycle_2")[0] == kept
