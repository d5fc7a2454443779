"""The record of a search for a recipe: what makes a trial, and what its page says."""

import json
import pathlib
import types

import pytest

from brainseg_jax import files
from brainseg_jax.modes import trials as mode
from brainseg_jax.reports.parts import trial_tables
from brainseg_jax.runs import members, trials
from tests.test_records import make_about

RECORDS = sorted(pathlib.Path(__file__).parent.parent.glob("docs/trials/*.json"))


def write_run(folder, dice, *, changes=None, seconds=(30.0, 90.0), evaluated=(2,)):
    """What a training and its evaluation leave behind, without checkpoints."""
    about = json.loads(json.dumps(vars(make_about())))
    config = about["config"]
    for key, value in (changes or {}).items():
        *parents, name = key.split(".")
        part = config
        for parent in parents:
            part = part[parent]
        part[name] = value
    files.write_json(folder / "config.json", about)
    history = [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "seconds_processor": spent,
            "validation_loss": 0.5 if epoch in evaluated else "",
        }
        for epoch, spent in enumerate(seconds, start=1)
    ]
    files.write_csv(folder / "history.csv", history)
    split = config["data"]["test"] or config["data"]["validation"]
    report = folder / "evaluation" / split
    rows = [
        {"patient": name, "slices": 2, "class": "tumour", "dice": value}
        for name, value in dice.items()
    ]
    files.write_csv(report / "patients.csv", rows)
    summary = {"data": "lgg_mri/phantom 1", "checkpoint_step": 20}
    files.write_json(report / "summary.json", summary)
    return str(folder)


@pytest.fixture
def begun(tmp_path):
    """A record of the baseline, and its file."""
    path = tmp_path / "screening.json"
    workdir = write_run(tmp_path / "baseline", {"p": 0.5, "q": 0.7})
    return mode.add([workdir], str(path)), path


def test_the_runs_of_a_cross_validation_are_added_each_by_itself(tmp_path):
    folds = members.write(tmp_path, members.FOLDS, ["fold_0", "fold_1"]).parent
    with pytest.raises(ValueError, match=f"--workdir={folds}/fold_0,{folds}/fold_1"):
        mode.read_run(str(folds))


def test_a_run_that_differs_in_its_seed_repeats_the_baseline(begun, tmp_path):
    again = write_run(tmp_path / "b", {"p": 0.6, "q": 0.9}, changes={"seed": 3})
    record = mode.add([again], str(begun[1]))
    assert [run["changes"] for run in record["runs"]] == [{}, {}]
    (row,) = trial_tables.repeats(record["runs"])
    assert row["seeds"] == "3 minus 0" and row["difference"].startswith("+0.150")
    (trial,) = trial_tables.of_trials(record["runs"])
    # p has 0.55 on average and q 0.8.
    assert trial["mean patient Dice"].startswith("0.675")
    assert trial["minutes"] == "2.0"


def test_training_on_more_folds_is_a_trial_and_on_others_is_not(begun, tmp_path):
    other = write_run(tmp_path / "b", {"p": 0.6}, changes={"data.train": "fold_7"})
    more = write_run(
        tmp_path / "c", {"p": 0.9}, changes={"data.train": "fold_1+fold_2"}
    )
    record = mode.add([other, more], str(begun[1]))
    said = [run["changes"] for run in record["runs"]]
    assert said[-1] == {"data.train": "2 folds"} and not said[0]


def test_a_trial_is_compared_on_the_patients_that_both_have(begun, tmp_path):
    changes = {"data.neighbours": 1, "losses": {"tversky": {"weight": 1.0}}}
    workdir = write_run(tmp_path / "b", {"q": 0.6, "r": 0.1}, changes=changes)
    record = mode.add([workdir], str(begun[1]))
    said = record["runs"][-1]["changes"]
    assert said["data.neighbours"] == "1" and said["losses.tversky.weight"] == "1.0"
    _, row = trial_tables.of_trials(record["runs"])
    assert row["difference"].startswith("-0.100")
    assert row["better, worse"] == "0, 1 of 1"
    assert "`data.neighbours=1`" in begun[1].with_suffix(".md").read_text()


def test_a_record_has_nothing_of_the_machine_it_was_made_on(begun):
    reference = json.loads(begun[1].read_text())["reference"]
    assert not {"data_dir", "raw_dir", "test"} & {*reference["data"]}
    assert "seed" not in reference and reference["data"]["size"] == [32, 32]


def test_without_a_workdir_the_page_is_written_anew(begun):
    record, path = begun
    page = path.with_suffix(".md")
    before = page.read_text()
    page.unlink()
    flags = types.SimpleNamespace(workdir=None, outputs=str(path))
    mode.run(types.SimpleNamespace(refuse_overrides=lambda: None, flags=flags))
    assert page.read_text() == before and trials.read(path)["runs"] == record["runs"]


def test_a_run_that_is_added_again_takes_its_own_place(begun, tmp_path):
    record, path = begun
    other = write_run(tmp_path / "b", {"p": 0.1}, changes={"data.neighbours": 1})
    again = write_run(tmp_path / "c", {"p": 0.3})
    found = mode.add([other, again], str(path))["runs"]
    assert [run["dice"] for run in found] == [{"p": 0.3}, {"p": 0.1}]


@pytest.mark.parametrize(
    "how, said",
    [
        ({"evaluated": (1, 2), "changes": {"data.test": ""}}, "chose the best of 2"),
        ({"seconds": ("", 90.0)}, "does not have seconds_processor of every epoch"),
        ({"changes": {"task.name": "classification"}}, "only segmentation has"),
    ],
)
def test_a_run_that_cannot_be_compared_is_refused(begun, tmp_path, how, said):
    workdir = write_run(tmp_path / "b", {"p": 0.5}, **how)
    with pytest.raises(ValueError, match=said):
        mode.add([workdir], str(begun[1]))


def test_what_is_no_record_is_refused(begun, tmp_path):
    with pytest.raises(ValueError, match=r"needs --outputs=<record>\.json"):
        mode.add([], "")
    with pytest.raises(ValueError, match="give the baseline's --workdir"):
        mode.add([], str(tmp_path / "none.json"))
    path = tmp_path / "other.json"
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match="is no record of trials"):
        mode.add([], str(path))


def test_other_data_are_refused(begun):
    runs = begun[0]["runs"]
    with pytest.raises(ValueError, match="keep them in another --outputs"):
        trials.with_run(runs, {**runs[0], "data": "lgg_mri/kaggle 1"})


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_the_pages_are_those_of_their_records(path):
    page = mode.page_of(trials.read(path), path)
    assert path.with_suffix(".md").read_text() == page
