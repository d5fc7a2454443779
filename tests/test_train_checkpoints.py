"""Checkpoints and summaries of runs that were stopped, damaged or read meanwhile."""

import json
import shutil

import jax
import optax
import orbax.checkpoint as ocp
import pytest

from brainseg_jax.interrupt import Interrupted
from brainseg_jax.modes import train
from brainseg_jax.runs import build, checkpoints, experiment, report_folders, restore
from brainseg_jax.training import state
from tests.whole_runs import fingerprint, stopping


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


@pytest.mark.parametrize("content", [b"", b'{"note": "PHAN', b"[]", b"{}", b"\xff"])
def test_a_damaged_summary_counts_as_none(finished, tmp_path, content):
    run = shutil.copytree(finished[0], tmp_path / "run")
    assert report_folders.is_reported(run)
    (run / "evaluation" / "fold_4" / "summary.json").write_bytes(content)
    assert not report_folders.is_reported(run)


def test_a_report_of_an_earlier_checkpoint_counts_as_none(finished, tmp_path):
    run = shutil.copytree(finished[0], tmp_path / "run")
    report = run / "evaluation" / "fold_4" / "summary.json"
    report.write_text(
        json.dumps({**json.loads(report.read_text()), "checkpoint_step": 1})
    )
    assert not report_folders.is_reported(run)


def test_a_finished_run_with_a_damaged_summary_is_scored_again(
    finished, config, tmp_path
):
    run = shutil.copytree(finished[0], tmp_path / "run")
    report = run / "evaluation" / "fold_4" / "summary.json"
    report.write_text(report.read_text()[:40])
    assert train.train(config, str(run)) == finished[1]
    assert train.train(config, str(run)) is None


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


@pytest.mark.slow
def test_of_equal_epochs_the_first_is_best_everywhere(config, unscored, tmp_path):
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
