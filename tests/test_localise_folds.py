"""Tumours of a cross-validation are localised by the model that has not seen them."""

import csv
import dataclasses

import numpy as np
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.modes import localise
from brainseg_jax.runs import members, restore, scored_splits
from brainseg_jax.runs.records import Progress
from tests import tiny_nets

LGG = "lgg_mri/phantom"
CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")


def fold_of(data_dir, test, marks):
    """A fold's model, trained on all patients of other folds, that marks all or nothing."""
    made = tiny_nets.restored(channels=CHANNELS, label=255)
    folds = data_info.read_info(LGG, data_dir).folds
    config = dict(made.record.about.config)
    config["data"] = {
        **config["data"], "name": LGG, "data_dir": str(data_dir), "test": test
    }  # fmt: skip
    about = dataclasses.replace(
        made.record.about,
        config=config,
        data={**made.record.about.data, "folds": folds},
        trained_patients=tuple(
            name for name, fold in folds.items() if f"fold_{fold}" != test
        ),
    )
    bias = np.full((1,) * 4, 100.0 if marks else -100.0, np.float32)
    slope = np.zeros((1,) * 4, np.float32)
    return made._replace(
        record=made.record._replace(about=about, progress=Progress()),
        variables={"params": {"bias": bias, "slope": slope}},
    )


@pytest.fixture
def workdir(data_dir, tmp_path, monkeypatch):
    """Two folds; the model that is tested on fold_0 marks all, the other one nothing."""
    folder = tmp_path / "cv"
    made = {
        str(folder / f"fold_{k}"): fold_of(data_dir, f"fold_{k}", marks=k == 0)
        for k in (0, 1)
    }
    for name in made:
        (folder / name).mkdir(parents=True)
    members.write(folder, members.FOLDS, ["fold_0", "fold_1"])
    monkeypatch.setattr(restore, "restore", made.get)
    return str(folder)


def patients_of(data_dir, fold):
    folds = data_info.read_info(LGG, data_dir).folds
    return {name for name, own in folds.items() if own == fold}


def test_each_patient_is_asked_of_the_model_that_has_not_seen_it(
    workdir, data_dir, tmp_path, monkeypatch
):
    def of_example(source, place, predicted, folder):  # instead of pictures
        return [{"patient": source.patients[place], "marked": int(predicted.any())}]

    monkeypatch.setattr(localise, "_of_example", of_example)
    rows = localise.localise_split(workdir, "", str(tmp_path / "out"))
    asked = {(row["patient"], row["marked"]) for row in rows}
    assert asked == {
        (name, marks) for fold, marks in ((0, 1), (1, 0))
        for name in patients_of(data_dir, fold)
    }  # fmt: skip
    with (tmp_path / "out" / "lesions.csv").open() as file:
        notes = {row["note"] for row in csv.DictReader(file)}
    (note,) = notes
    assert "PHANTOM" in note and "CONTAMINATED" not in note and "ENSEMBLE" not in note


def test_a_split_that_is_named_is_asked_of_all_models_as_one(workdir):
    assert scored_splits.is_by_fold(workdir)
    assert not scored_splits.is_by_fold(workdir, "fold_0")
    assert not scored_splits.is_by_fold(workdir, data_name="folder/ours")
    assert not scored_splits.is_by_fold(f"{workdir}/fold_0")
    asked = localise._ask_model(workdir, "fold_0", "", "")
    assert asked.note.startswith("ENSEMBLE of 2") and "CONTAMINATED" in asked.note
