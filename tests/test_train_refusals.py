"""Training that would mislead is refused before it begins."""

import os
import shutil
import types

import pytest

from brainseg_jax.modes import train
from brainseg_jax.runs import checkpoints, records, resume, run_folder
from datasets import prepare
from datasets.synthetic import phantom
from tests import tiny_config
from tests.test_records import make_about


def test_a_changed_config_is_refused_with_both_values(finished, config):
    config.schedule.rate = 0.5
    with pytest.raises(ValueError, match=r"schedule\.rate: 0\.002 .* 0\.5 now"):
        train.train(config, str(finished[0]))


def test_going_on_with_other_data_is_refused(finished, config, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    other = phantom.write_lgg(tmp_path / "raw", patients=8, slices=4)
    prepare.prepare("lgg_mri/phantom", tmp_path / "data", other)
    config.data.data_dir, config.epochs = str(tmp_path / "data"), 3
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


def test_so_are_they_where_the_test_split_is_of_official_folds():
    config = tiny_config.get_config()
    config.init_from = "other"
    config.data.train, config.data.validation = "official_0", ""
    config.data.test = "official_1"
    info = types.SimpleNamespace(leaky={})
    run = types.SimpleNamespace(
        config=config,
        training=types.SimpleNamespace(info=info),
        validation=None,
        tested=frozenset(["p1", "p2"]),
    )
    about = make_about(trained_patients=("p2", "p3"))
    origin = records.Record(about, records.Progress(), 0)
    with pytest.raises(ValueError, match=r"other was trained on 1 patients .*\(p2"):
        resume.check_earlier_patients(run, origin)


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


def test_an_unknown_test_split_is_refused_before_training(config, tmp_path):
    config.data.test = "fold_9"
    with pytest.raises(ValueError, match="no split 'fold_9'"):
        train.train(config, str(tmp_path))
    assert not checkpoints.exist(tmp_path)


def test_validating_and_testing_on_one_fold_is_refused(config, tmp_path):
    config.data.test = "fold_3"
    with pytest.raises(ValueError, match="share patients"):
        train.train(config, str(tmp_path))


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
