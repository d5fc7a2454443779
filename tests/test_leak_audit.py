"""The leak audit of a report: patients by their names, pictures by what an audit found."""

import dataclasses
import json
import types

import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.modes import audit
from brainseg_jax.runs import leaks, members
from brainseg_jax.runs.records import Choice, Progress, Record
from tests.test_records import make_about


def audited(folder, about, **changes):
    """An audit.json of a run's splits."""
    options = about.config["data"]
    row = {
        "first": "train", "second": "test", "patients_in_both": 0,
        "examples_in_both": 0, "exact_pairs_of_one_patient": 0,
        "exact_pairs_of_two_patients": 0, "near_pairs_of_one_patient": 0,
        "near_pairs_of_two_patients": 1, "patients_of_second": 3,
        "examples_of_second": 9, "examples_of_second_with_twins": 1,
    }  # fmt: skip
    said = {
        "data_set": options["name"],
        "version": "1.0.0",
        "splits": {role: options[role] for role in leaks.ROLES},
        "shared": [row],
        **changes,
    }
    path = folder / leaks.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(said))
    return path


def test_an_audit_counts_if_it_is_of_the_runs_own_splits(tmp_path, caplog):
    about = make_about()
    info = types.SimpleNamespace(
        name=about.config["data"]["name"], version="1.0.0", one_patient_per_file=False
    )
    source = types.SimpleNamespace(info=info, patients=["a", "b", "b", "x"])
    record = Record(about, Progress(), 1, choice=Choice("", ("b",)))
    assert leaks.find([(record, source)], "fold_4", tmp_path).audit is None
    audited(tmp_path, about)
    found = leaks.find([(record, source)], "fold_4", tmp_path)
    # make_about trained on a, and b chose the epoch.
    assert (found.trained_on, found.chose_the_epoch, found.patients) == (
        ["a"],
        ["b"],
        3,
    )
    assert found.audit[0] == "No patient, no example and no picture is in two splits."
    assert found.audit[1].endswith("are alike. There are 1 of train and test.")
    assert leaks.to_json(found)["patients_trained_on"] == 1
    for change in ({"version": "2.0.0"}, {"data_set": "x"}, {"splits": {"train": ""}}):
        path = audited(tmp_path, about, **change)
        assert leaks.read_audit(path, [(record, source)], "fold_4") is None
    path.write_text("{")
    assert leaks.read_audit(path, [(record, source)], "fold_4") is None
    assert "is damaged" in caplog.text


def test_each_model_leaks_by_the_patients_that_it_was_scored_on(tmp_path):
    info = types.SimpleNamespace(name="x")
    models = [
        (Record(make_about(trained_patients=trained), Progress(), 1), own)
        for trained, own in (
            (("b", "c"), types.SimpleNamespace(info=info, patients=["a"])),
            (("a", "c"), types.SimpleNamespace(info=info, patients=["b", "c"])),
        )
    ]
    found = leaks.find(models, "out_of_fold", tmp_path)
    assert (found.patients, found.trained_on) == (3, ["c"])


def scored(about, name="lgg_mri/phantom"):
    info = types.SimpleNamespace(name=name, version="1.0.0", one_patient_per_file=False)
    source = types.SimpleNamespace(info=info, patients=["c"])
    return Record(about, Progress(), 1), source


@pytest.mark.parametrize(
    "split, name, changes, said",
    [
        (
            "fold_4",
            "lgg_mri/phantom",
            {},
            "--workdir={} looks for them; --mode=evaluate",
        ),
        (
            "fold_2",
            "lgg_mri/phantom",
            {},
            "--config.data.test=fold_2 --outputs=<folder>",
        ),
        ("fold_4", "folder/ours", {}, "--mode=audit compares splits of one data set"),
        # Weights of an earlier run have seen b, whom this one does not train on.
        ("fold_4", "lgg_mri/phantom", {"trained_patients": ("a", "b")}, "<its config>"),
        ("fold_4", "lgg_mri/phantom", {"trained_patients": ("z",)}, "one data set"),
    ],
)
def test_an_audit_that_is_not_of_what_was_scored_does_not_speak_for_it(
    tmp_path, split, name, changes, said
):
    about = make_about(**changes)
    audited(tmp_path, about)
    found = leaks.find([scored(about, name)], split, tmp_path)
    own = "looks for them; --mode=evaluate" in said
    assert (found.audit is not None) == own
    assert said.format(tmp_path) in found.unseen


def of_fold(k, data_dir=""):
    """What is said of the run that tests a fold of the phantom."""
    about = make_about()
    data = {
        **about.config["data"],
        "train": "+".join(f"fold_{n}" for n in range(5) if n not in (k, k + 1)),
        "validation": f"fold_{k + 1}", "test": f"fold_{k}", "data_dir": data_dir,
    }  # fmt: skip
    return dataclasses.replace(about, config={**about.config, "data": data})


def test_of_a_cross_validation_an_audit_of_all_folds_counts(tmp_path):
    abouts = [of_fold(0), of_fold(1)]
    models = [scored(about) for about in abouts]
    assert leaks.find(models, "out_of_fold", tmp_path).audit is None
    folds = leaks.roles_of(abouts, by_fold=True)
    assert folds == {f"fold_{k}": f"fold_{k}" for k in range(5)}
    audited(tmp_path, abouts[0])  # of the first fold's three splits alone
    assert leaks.find(models, "out_of_fold", tmp_path).audit is None
    audited(tmp_path, abouts[0], splits=folds)
    assert leaks.find(models, "out_of_fold", tmp_path).audit is not None


def ask(workdir, **flags):
    """--mode=audit without --config."""
    usual = {"workdir": str(workdir), "data_dir": "", "split": "", **flags}
    audit.run(
        types.SimpleNamespace(
            flags=types.SimpleNamespace(**usual),
            has_config=False,
            outputs=str(workdir / "audit"),
        )
    )
    return json.loads((workdir / leaks.FILE).read_text())


def test_a_folder_says_itself_what_is_to_be_audited(data_dir, tmp_path):
    for k in range(2):
        folder = tmp_path / "cv" / f"fold_{k}"
        folder.mkdir(parents=True)
        about = vars(of_fold(k, data_dir=str(data_dir)))
        (folder / "config.json").write_text(json.dumps(about))
    found = ask(tmp_path / "cv" / "fold_1", data_dir=str(data_dir))
    assert found["splits"]["test"] == "fold_1" and len(found["shared"]) == 3
    members.write(tmp_path / "cv", members.FOLDS, ["fold_0", "fold_1"])
    found = ask(tmp_path / "cv")
    assert len(found["splits"]) == 5 and len(found["shared"]) == 10
    assert found["version"] == data_info.read_info("lgg_mri/phantom", data_dir).version
    # So that the report of the folder finds it.
    record = Record(of_fold(0), Progress(), 1), Record(of_fold(1), Progress(), 1)
    info = data_info.read_info("lgg_mri/phantom", data_dir)
    source = types.SimpleNamespace(info=info, patients=["c"])
    models = [(one, source) for one in record]
    assert leaks.find(models, "out_of_fold", tmp_path / "cv").audit
