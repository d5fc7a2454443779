"""--mode=audit finds what was planted between splits, and nothing where nothing is."""

import csv
import json
import shutil
import types

import numpy as np
import pytest
import tifffile

from brainseg_jax.data import info as data_info
from brainseg_jax.data import twin_lists
from brainseg_jax.modes import audit
from brainseg_jax.reports.parts import leak_words
from datasets import prepare
from tests import small_folder, tiny_volumes

NAME = "lgg_mri/phantom"
FOLDS = {"train": "fold_0+fold_1+fold_2", "validation": "fold_3", "test": "fold_4"}
PAIRS = [
    f"{kind}_pairs_of_{of}"
    for kind in ("exact", "near")
    for of in ("one_patient", "two_patients")
]


def write_slice(folder, number, image):
    """A slice more of a patient, without tumour: folds stay as they are."""
    stem = folder / f"{folder.name}_{number}"
    tifffile.imwrite(f"{stem}.tif", image, photometric="rgb")
    empty = np.zeros(image.shape[:2], np.uint8)
    tifffile.imwrite(f"{stem}_mask.tif", empty, photometric="minisblack")


@pytest.fixture(scope="module")
def planted(data_dir, tmp_path_factory):
    """The phantom, in which a patient of fold_4 has two slices of one of fold_0.

    One is brighter and noisy, the other equal to the last byte.
    """
    folder = tmp_path_factory.mktemp("planted")
    raw = shutil.copytree(data_dir / "raw/kaggle_3m", folder / "kaggle_3m")
    fold_of = data_info.read_info(NAME, data_dir).folds
    one, other = (
        min(patient for patient, fold in fold_of.items() if fold == wanted)
        for wanted in (0, 4)
    )
    images = [tifffile.imread(raw / one / f"{one}_{number}.tif") for number in (3, 4)]
    noise = np.random.default_rng(0).normal(5, 4, images[0].shape)
    write_slice(raw / other, 6, np.clip(images[0] + noise, 0, 255).astype(np.uint8))
    write_slice(raw / other, 7, images[1])
    prepare.prepare(NAME, folder, raw)
    assert data_info.read_info(NAME, folder).folds == fold_of
    return folder, one, other


def by_splits(table):
    return {(row["first"], row["second"]): row for row in table}


def test_patient_splits_of_the_phantom_share_nothing(data_dir, tmp_path, capsys):
    table = audit.audit(NAME, data_dir, FOLDS, tmp_path)
    assert [*by_splits(table)] == [
        ("train", "validation"),
        ("train", "test"),
        ("validation", "test"),
    ]
    for row in table:
        assert not any(
            row[key] for key in ("patients_in_both", "examples_in_both", *PAIRS)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]
    said = capsys.readouterr().out
    assert "No patient, no example and no picture is in two splits." in said
    assert "PHANTOM" in said and "LEAK" not in said


def test_copies_under_another_patient_are_found_and_drawn(planted, tmp_path, capsys):
    folder, one, other = planted
    table = by_splits(audit.audit(NAME, folder, FOLDS, tmp_path))
    row = table["train", "test"]
    assert row["patients_in_both"] == row["examples_in_both"] == 0
    assert [row[key] for key in PAIRS] == [0, 1, 0, 1]
    assert row["examples_of_second_with_twins"] == 2
    with (tmp_path / "pairs.csv").open(newline="") as file:
        pairs = {pair["kind"]: pair for pair in csv.DictReader(file)}
    for kind, number, copy in (("exact", 4, 7), ("near", 3, 6)):
        assert pairs[kind]["first_key"] == f"{one}_{number}"
        assert pairs[kind]["second_key"] == f"{other}_{copy}"
        assert pairs[kind]["same_patient"] == "False"
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {"exact_two_patients.png", "near_two_patients.png"}
    said = capsys.readouterr().out
    assert "LEAK from train to test: 0 of its" in said
    assert "prove no leak" in said
    assert not any(table["train", "validation"][key] for key in PAIRS)


def test_pictures_of_an_earlier_audit_do_not_stay(planted, data_dir, tmp_path):
    folder = planted[0]
    roles = {"train": "fold_0", "test": "fold_4"}
    audit.audit(NAME, folder, roles, tmp_path)
    assert [*tmp_path.glob("*.png")] and (tmp_path / "pairs.csv").exists()
    audit.audit(NAME, data_dir, roles, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


def test_a_fold_in_two_splits_is_a_leak_of_its_patients_and_examples(
    data_dir, tmp_path, capsys
):
    info = data_info.read_info(NAME, data_dir)
    patients = sorted(patient for patient, fold in info.folds.items() if fold == 1)
    roles = {"train": "fold_0+fold_1", "validation": "fold_1", "test": ""}
    (row,) = audit.audit(NAME, data_dir, roles, tmp_path)
    # Each patient has five slices.
    assert row["patients_in_both"] == row["patients_of_second"] == len(patients)
    assert row["examples_in_both"] == row["examples_of_second"] == 5 * len(patients)
    assert row["exact_pairs_of_one_patient"] == 0  # an example is no copy of itself
    written = json.loads((tmp_path / "audit.json").read_text())
    assert written["shared"] == [{**row, "patients": patients}]
    said = capsys.readouterr().out
    assert f"LEAK from train to validation: {len(patients)} of its" in said


def test_a_leaky_split_is_called_so_with_numbers(data_dir, tmp_path, capsys):
    roles = {part: f"leaky_{part}" for part in FOLDS}
    table = by_splits(audit.audit(NAME, data_dir, roles, tmp_path))
    leaky = data_info.read_info(NAME, data_dir).leaky
    patients = {
        part: {key.rpartition("_")[0] for key in leaky[f"leaky_{part}"]}
        for part in FOLDS
    }
    for (first, second), row in table.items():
        assert row["patients_in_both"] == len(patients[first] & patients[second])
        assert row["examples_in_both"] == 0
    assert table["train", "test"]["patients_in_both"] > 0
    said = capsys.readouterr().out
    assert "LEAKY: slices of the same patients on both sides" in said
    assert "LEAK from train to test" in said
    assert json.loads((tmp_path / "audit.json").read_text())["note"].endswith(
        "both sides"
    )


def test_volumes_are_compared_by_all_pixels_and_by_a_plane(tmp_path):
    name = tiny_volumes.build(tmp_path)
    roles = {"train": "fold_0", "validation": "fold_1", "test": "fold_0"}
    table = by_splits(audit.audit(name, tmp_path, roles, tmp_path / "out"))
    assert not any(table["train", "validation"][key] for key in PAIRS)
    assert table["train", "test"]["examples_in_both"] == 4


def test_one_split_alone_is_not_called_clean():
    assert leak_words.verdict([], by_file=False) == [
        "One split alone: there is nothing to compare. Name others in "
        "config.data.train, validation and test."
    ]


def test_of_pictures_of_nobody_it_is_said_that_patients_cannot_be_told(
    tmp_path, capsys
):
    raw = small_folder.write_pairs(tmp_path / "raw")
    small_folder.build(raw, tmp_path / "data", one_patient_per_file=True)
    roles = {"train": "fold_0+fold_1", "test": "fold_4"}
    audit.audit("folder/mine", tmp_path / "data", roles, tmp_path / "out")
    said = " ".join(capsys.readouterr().out.split())
    assert "No example and no picture is in two splits." in said
    assert "PATIENTS CANNOT BE TOLD" in said
    assert "config.data.folder.one_patient_per_file" in said
    assert "No patient" not in said


def test_many_pairs_are_counted_and_said_not_to_be_listed(tmp_path, capsys):
    raw = tmp_path / "raw"
    for number in range(30):
        name = f"P{number}_1.png"
        small_folder.write(raw / "images" / name, np.full((16, 20), 7, np.uint8))
        small_folder.write(raw / "masks" / name, np.zeros((16, 20), np.uint8))
    small_folder.build(raw, tmp_path / "data")
    roles = {"train": "fold_0+fold_1+fold_2", "test": "fold_3+fold_4"}
    (row,) = audit.audit("folder/mine", tmp_path / "data", roles, tmp_path / "out")
    # Six patients in each fold.
    assert row["exact_pairs_of_two_patients"] == 18 * 12
    assert row["examples_of_second_with_twins"] == 12
    assert row["pairs_listed"] == twin_lists.OF_A_GROUP
    with (tmp_path / "out/pairs.csv").open(newline="") as file:
        assert len([*csv.DictReader(file)]) == twin_lists.OF_A_GROUP
    said = capsys.readouterr().out
    assert "train, test: pairs.csv lists 100 of 216 pairs." in said


def test_a_split_that_there_is_not_is_named(data_dir, tmp_path):
    with pytest.raises(ValueError, match="no split 'fold_9'"):
        audit.audit(NAME, data_dir, {"train": "fold_9"}, tmp_path)


def test_the_mode_goes_by_the_config(config, tmp_path):
    prepared = []
    request = types.SimpleNamespace(
        outputs=str(tmp_path),
        has_config=True,
        config=config,
        prepare_data=lambda: prepared.append(True),
        flags=types.SimpleNamespace(split=""),
    )
    audit.run(request)
    written = json.loads((tmp_path / "audit.json").read_text())
    assert prepared and written["splits"] == {
        part: config.data[part] for part in ("train", "validation", "test")
    }
