"""Training end to end on a small phantom: resuming, stopping, refusing, reporting."""

import csv
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import shutil
import signal
import types

import cv2
import jax
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from brainseg_jax import parallel
from brainseg_jax.interrupt import Interrupted
from brainseg_jax.modes import evaluate, predict, train
from brainseg_jax.runs import (
    build,
    checkpoints,
    experiment,
    records,
    report_folders,
    restore,
    resume,
    run_folder,
)
from brainseg_jax.training import state
from datasets import prepare
from datasets.synthetic import phantom
from tests import tiny_config
from tests.test_records import make_about


def fingerprint(workdir):
    """Hash of the last checkpoint's weights and statistics, its step and its record."""
    with checkpoints.Checkpoints(workdir, read_only=True) as saved:
        number = saved.latest
        record = records.from_json(saved.record(number))
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(_variables(workdir, number)):
        digest.update(jax.tree_util.keystr(path).encode() + leaf.tobytes())
    return digest.hexdigest(), record.step, record


def _variables(workdir, number):
    """A checkpoint's arrays as they are stored, whatever the model."""
    folder = pathlib.Path(workdir) / checkpoints.FOLDER / str(number) / "variables"
    reader = ocp.PyTreeCheckpointer()
    as_numpy = jax.tree.map(
        lambda _: ocp.RestoreArgs(restore_type=np.ndarray),
        reader.metadata(folder).item_metadata.tree,
    )
    return reader.restore(folder, args=ocp.args.PyTreeRestore(restore_args=as_numpy))


def scores_of(record):
    """History without the times, which differ from run to run."""
    return [
        {key: value for key, value in row.items() if not key.startswith("seconds")}
        for row in record.progress.history
    ]


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """An uninterrupted run of the tiny config."""
    config = tiny_config.get_config()
    config.data.data_dir = str(data_dir)
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    summary = train.train(config, str(workdir))
    return workdir, summary


def stopping(after, number=signal.SIGTERM, part="train_step"):
    """build.make_run, with a signal to this process at the n-th call of a step."""
    prepare = build.make_run

    def prepared(config, folder):
        run, calls = prepare(config, folder), []
        step = getattr(run, part)

        def counted(*arguments):
            calls.append(1)
            if len(calls) == after:
                os.kill(os.getpid(), number)
            return step(*arguments)

        return run.__class__(**{**vars(run), part: counted})

    return prepared


@pytest.mark.parametrize(
    "part, after",
    [
        ("train_step", 1),
        ("train_step", 4),
        ("eval_step", 1),
    ],
)
def test_resumed_run_equals_uninterrupted_run(
    finished, config, tmp_path, monkeypatch, part, after
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


def test_more_epochs_extend_a_run(config, tmp_path):
    config.epochs = 1
    train.train(config, str(tmp_path))
    config.epochs = 2
    train.train(config, str(tmp_path))
    _, _, record = fingerprint(tmp_path)
    assert [row["epoch"] for row in record.progress.history] == [1, 2]


def test_a_changed_config_is_refused_with_both_values(finished, config):
    config.schedule.rate = 0.5
    with pytest.raises(ValueError, match=r"schedule\.rate: 0\.002 .* 0\.5 now"):
        train.train(config, str(finished[0]))


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


def fresh_state():
    """The state of a tiny net, as it begins."""
    model = experiment.make_model("unet", {"widths": (4,)}, outputs=1, dtype="float32")
    return state.create_state(model, optax.sgd(0.1), jax.random.key(0), (1, 4, 4, 3))


def dies(*arguments, **options):
    raise SystemExit("the process ends here")


def test_a_checkpoint_is_never_given_up_before_the_next_is_written(
    config, tmp_path, monkeypatch
):
    config.epochs = 1
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_run", stopping(1, part="eval_step"))
        with pytest.raises(Interrupted):
            train.train(config, str(tmp_path))
    before = fingerprint(tmp_path)
    with monkeypatch.context() as patch:
        # Where the state is about to be written again, now with its score.
        patch.setattr(ocp.CheckpointManager, "save", dies)
        with pytest.raises(SystemExit):
            train.train(config, str(tmp_path))
    assert fingerprint(tmp_path)[:2] == before[:2]


def test_a_checkpoints_record_is_of_the_moment_it_was_saved(
    finished, tmp_path, monkeypatch
):
    # Orbax writes it in the background, while training adds to the record.
    saved_items = []
    monkeypatch.setattr(
        ocp.CheckpointManager,
        "save",
        lambda self, number, args, metrics: saved_items.append(args.record.item),
    )
    record = {"sums": {"steps": 1}, "history": [{"epoch": 1}]}
    with checkpoints.Checkpoints(tmp_path) as saved:
        saved.save(fresh_state(), record, None)
    record["sums"]["steps"] = 2
    record["history"].append({"epoch": 2})
    assert saved_items[0]["sums"] == {"steps": 1}
    assert saved_items[0]["history"] == [{"epoch": 1}]


def test_an_extended_run_is_scored_again(config, tmp_path, monkeypatch):
    config.epochs = 1
    train.train(config, str(tmp_path))
    report = tmp_path / "evaluation" / "fold_4" / "summary.json"
    old = json.loads(report.read_text())
    report.write_text(json.dumps({**old, "checkpoint_step": -1}))
    assert train.train(config, str(tmp_path)) is not None
    assert json.loads(report.read_text())["checkpoint_step"] == old["checkpoint_step"]
    assert train.train(config, str(tmp_path)) is None


@pytest.mark.parametrize("content", [b"", b'{"note": "PHAN', b"[]", b"{}", b"\xff"])
def test_a_damaged_summary_counts_as_none(finished, tmp_path, content):
    run = shutil.copytree(finished[0], tmp_path / "run")
    assert report_folders.is_reported(run)
    (run / "evaluation" / "fold_4" / "summary.json").write_bytes(content)
    assert not report_folders.is_reported(run)


def test_a_finished_run_with_a_damaged_summary_is_scored_again(
    finished, config, tmp_path
):
    run = shutil.copytree(finished[0], tmp_path / "run")
    report = run / "evaluation" / "fold_4" / "summary.json"
    report.write_text(report.read_text()[:40])
    assert train.train(config, str(run)) == finished[1]
    assert report_folders.is_reported(run)


def test_going_on_with_other_data_is_refused(config, tmp_path):
    config.epochs = 1
    train.train(config, str(tmp_path / "run"))
    other = phantom.write_lgg(tmp_path / "raw", patients=8, slices=4)
    prepare.prepare("lgg_mri/phantom", tmp_path / "data", other)
    config.data.data_dir, config.epochs = str(tmp_path / "data"), 2
    with pytest.raises(ValueError, match=r"not the one this run began with.*keys"):
        train.train(config, str(tmp_path / "run"))


def test_weights_that_have_seen_the_test_patients_are_refused(
    finished, config, tmp_path
):
    config.init_from = str(finished[0])
    config.data.train, config.data.validation = "fold_3+fold_4", "fold_1"
    config.data.test = "fold_0"
    with pytest.raises(ValueError, match="was trained on .* name folds"):
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


@pytest.mark.parametrize(
    "key, split", [("test", "fold_4"), ("validation", "fold_1"), ("train", "fold_0")]
)
def test_leaky_splits_and_folds_do_not_go_together(config, tmp_path, key, split):
    for name in ("train", "validation", "test"):
        config.data[name] = f"leaky_{name}"
    config.data[key] = split
    with pytest.raises(
        ValueError, match=f"{split} would be scored|leaky splits for all"
    ):
        train.train(config, str(tmp_path))
    assert not checkpoints.exist(tmp_path)


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


@pytest.mark.parametrize("read", [restore.restore, restore.read_best])
def test_a_checkpoint_that_is_replaced_meanwhile_is_read_again(
    finished, monkeypatch, read
):
    whole, calls = checkpoints.Checkpoints.record, []

    def gone(self, number):
        calls.append(number)
        if len(calls) == 2:  # the last one, whose history is asked for
            raise FileNotFoundError(f"checkpoints/{number} not found")
        return whole(self, number)

    monkeypatch.setattr(checkpoints.Checkpoints, "record", gone)
    assert read(finished[0])
    assert len(calls) == 4


def test_a_damaged_checkpoint_is_named(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    for file in (tmp_path / "run" / checkpoints.FOLDER).glob("*/record"):
        shutil.rmtree(file)
    with pytest.raises(ValueError, match=r"checkpoints/\d is damaged"):
        restore.restore(tmp_path / "run")


def test_waiting_for_steps_before_a_checkpoint_is_part_of_the_steps(config, tmp_path):
    config.epochs, config.checkpoint.every_steps = 1, 1
    train.train(config, str(tmp_path))
    with open(tmp_path / "history.csv") as file:
        (row,) = csv.DictReader(file)
    parts = ("data", "step", "evaluation")
    spent = sum(float(row[f"seconds_{part}"]) for part in parts)
    spent += float(row["seconds_checkpoint"])
    assert spent > 0.9 * float(row["seconds"])


def test_an_unknown_test_split_is_refused_before_training(config, tmp_path):
    config.data.test = "fold_9"
    with pytest.raises(ValueError, match="no split 'fold_9'"):
        train.train(config, str(tmp_path))
    assert not checkpoints.exist(tmp_path)


def test_validating_and_testing_on_one_fold_is_refused(config, tmp_path):
    config.data.test = "fold_3"
    with pytest.raises(ValueError, match="share patients"):
        train.train(config, str(tmp_path))


@pytest.mark.slow
def test_of_equal_epochs_the_first_is_best_everywhere(config, tmp_path):
    config.evaluation.threshold = 1.0  # nothing is ever predicted
    train.train(config, str(tmp_path))
    _, _, record = fingerprint(tmp_path)
    assert record.progress.best_epoch == 1
    assert restore.restore(tmp_path).record.step == record.progress.history[0]["step"]


def test_a_reader_leaves_a_checkpoint_that_is_being_written_alone(finished):
    unfinished = finished[0] / checkpoints.FOLDER / "7.orbax-checkpoint-tmp"
    unfinished.mkdir()
    restore.restore(finished[0])
    assert unfinished.exists()
    unfinished.rmdir()


def test_a_key_that_an_older_run_lacks_has_the_value_it_trained_with(config, tmp_path):
    old = config.to_dict()
    del old["schedule"]["decay"]
    about = make_about(config=records.with_later_keys(old))
    record = records.Record(about, records.Progress(), 0)
    resume.check_config(config.to_dict(), record, tmp_path)
    config.schedule.decay = 0.9
    with pytest.raises(ValueError, match=r"decay: 1\.0 in the checkpoint, 0\.9 now"):
        resume.check_config(config.to_dict(), record, tmp_path)


def test_a_second_writer_is_refused(config, tmp_path):
    with (
        run_folder.locked(tmp_path),
        pytest.raises(RuntimeError, match=f"by process {os.getpid()}"),
        run_folder.locked(tmp_path),
    ):
        pass


@pytest.mark.parametrize("cache", ["host", "none"])
def test_every_cache_trains_the_same(finished, config, tmp_path, cache):
    config.data.cache = cache
    train.train(config, str(tmp_path))
    _, _, record = fingerprint(tmp_path)
    _, _, expected = fingerprint(finished[0])
    for row, other in zip(scores_of(record), scores_of(expected), strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=2e-3)
        assert row["validation_loss"] == pytest.approx(
            other["validation_loss"], rel=2e-3
        )


def test_starting_from_another_runs_weights(finished, config, tmp_path):
    config.init_from = str(finished[0])
    config.epochs = 1
    config.schedule.rate = 1e-9
    config.ema_decay = 0.0
    train.train(config, str(tmp_path))
    own = restore.restore(tmp_path).variables["params"]
    # The other run's average, which is what it evaluates with.
    other = restore.restore(finished[0]).variables["params"]
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), own, other)


@pytest.mark.parametrize(
    "widths", [pytest.param((4, 8), marks=pytest.mark.slow), (4, 6, 8)]
)
def test_another_architecture_is_not_taken_for_a_new_head(
    widths, finished, config, tmp_path
):
    config.init_from = str(finished[0])
    config.model.options.widths = widths
    with pytest.raises(ValueError, match="another architecture"):
        train.train(config, str(tmp_path))


def test_splits_that_share_patients_are_refused(config, tmp_path):
    config.data.train = "fold_0+fold_1"
    with pytest.raises(ValueError, match="share patients"):
        train.train(config, str(tmp_path))


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
