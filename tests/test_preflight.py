"""What is checked before a run prepares data, and that checking leaves no files."""

import dataclasses
import tempfile

import pytest
from absl import logging

from brainseg_jax.data import info as data_info
from brainseg_jax.runs import build, checkpoints, opening, preflight, run_folder

INFO = data_info.described(
    "lgg_mri/phantom",
    channels=("pre-contrast", "FLAIR", "post-contrast"),
    classes={"tumour": 255},
    labels=("no tumour", "tumour"),
)


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("model.frozen", ("encodr",), "names 'encodr'"),
        ("data.size", (31, 32), "multiples of"),
        ("optimizer.encoder_rate", 0.5, "no part called"),
        ("batch_size", 12, "does not split over 8 devices"),
        ("accumulate", 2, "does not split into config.accumulate=2 parts on each of 8"),
        ("data.channels", ("T2",), "'T2', which is no channel of lgg_mri/phantom"),
        ("task.targets", "labels", "exclusive is False; set it to True"),
        ("parallel.mode", "jit", "it can be pmap or mesh"),
    ],
)
def test_what_the_model_refuses_is_refused_before_there_are_data(
    config, tmp_path, key, value, said
):
    config.data.data_dir = "nowhere"
    config.update_from_flattened_dict({key: value})
    with pytest.raises(ValueError, match=said):
        preflight.check_start(config, tmp_path / "run", INFO)
    assert not (tmp_path / "run").exists()


def test_parts_of_a_batch_are_refused_to_a_net_that_normalises_by_batch(
    config, tmp_path
):
    config.batch_size, config.accumulate = 16, 2
    said = (
        "config.accumulate is 2, but config.model.name=resunet normalises by the stat"
    )
    with pytest.raises(ValueError, match=said):
        preflight.check_start(config, tmp_path / "run", INFO)


def test_a_folder_of_a_start_that_failed_is_no_run_yet(config, tmp_path):
    with checkpoints.Checkpoints(tmp_path) as saved:
        assert saved.latest is None
    assert not checkpoints.exist(tmp_path)
    config.model.frozen = ("encodr",)
    with pytest.raises(ValueError, match="names 'encodr'"):
        preflight.check_start(config, tmp_path, INFO)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_workdir_that_cannot_be_written_is_refused(config, tmp_path, name):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match=rf"--workdir=.*{name} cannot be written"):
        preflight.check_start(config, tmp_path / name, INFO)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_workdir_below_a_closed_folder_is_refused(config, tmp_path, monkeypatch):
    """Such as another user's; root may open any folder, so the error is simulated."""

    def closed(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", closed)
    with pytest.raises(OSError, match=r"--workdir=.* cannot be written: Permission"):
        preflight.check_start(config, tmp_path / "run", INFO)


def test_looking_whether_a_folder_can_be_written_leaves_no_trace(tmp_path):
    run_folder.check_writable(tmp_path / "a" / "b", "--workdir")
    assert not list(tmp_path.iterdir())


def test_freezing_random_weights_and_an_endless_warm_up_are_warned_of(
    config, tmp_path, caplog
):
    run = build.make_run(config, tmp_path)
    state = run.fresh_state()
    caplog.clear()
    preflight.tell(run, state)
    assert not caplog.records
    config.model.frozen = ("output",)
    config.schedule.warmup_steps = run.total_steps
    run = build.make_run(config, tmp_path)
    with caplog.at_level(logging.INFO):
        preflight.tell(run, state)
    said = " ".join(caplog.text.split())
    own = sum(leaf.size for leaf in state.params["output"].values())
    assert f"{own} are frozen" in said
    assert "keeps the random weights" in said
    assert f"warmup_steps={run.total_steps} are not over" in said


def test_the_size_that_is_scored_has_to_fit_the_net_too(config, tmp_path):
    config.data.patch, config.data.size = (32, 32), (35, 35)
    with pytest.raises(ValueError, match="multiples of 2; got 35 x 35"):
        preflight.check_start(config, tmp_path, INFO)


def test_of_several_stored_sizes_none_is_advised():
    with pytest.raises(
        ValueError, match="of several sizes .* set config.data.patch to"
    ):
        opening._refuse_resizing({(16, 16), (16, 24)}, (16, 16))


def test_a_test_patient_who_is_trained_on_is_found_before_training(
    config, tmp_path, monkeypatch
):
    load = opening.sources.open_split

    def mixed(name, split, *arguments, **options):
        source = load(name, split, *arguments, **options)
        if split == config.data.test:
            patients = [*load(name, "fold_0", *arguments, **options).patients]
            return dataclasses.replace(source, patients=patients[: len(source)])
        return source

    monkeypatch.setattr(opening.sources, "open_split", mixed)
    with pytest.raises(ValueError, match="and test=fold_4 share 1 patients"):
        build.make_run(config, tmp_path)


def test_parts_are_refused_where_whole_examples_would_be_scored_at_another_scale(
    config, tmp_path
):
    config.data.patch = (32, 32)
    with pytest.raises(ValueError, match=r"scale, but config.data.size=\(32, 32\)"):
        build.make_run(config, tmp_path)
    config.data.size = (256, 256)
    assert build.make_run(config, tmp_path).training.patches.size == (32, 32)
