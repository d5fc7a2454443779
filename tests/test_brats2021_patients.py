"""The publishers' table of BraTS 2021 names the patients of TCGA."""

import csv

import pytest

from brainseg_jax.data import index as data_index
from brainseg_jax.data import leakage
from datasets import raw
from datasets.brats2021 import raw_files, releases, tcga
from tests import damaged_cases, small_cases
from tests.damaged_cases import CASE

original, tree = damaged_cases.original, damaged_cases.tree


def write_mapping(tree, rows):
    with (tree / "BraTS21-17_Mapping.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["BraTS2021 ID", "Data Collection", "Local ID"], *rows]
        )


def test_the_publishers_table_names_patients(tree, tmp_path, capsys):
    rows = [
        [small_cases.name_of(1), "TCGA-LGG", "TCGA-CS-4941"],
        [CASE, "TCGA-LGG", "TCGA-CS-4941"],
        [small_cases.name_of(3), "UPENN-GBM", "UPENN-GBM-00002"],
    ]
    write_mapping(tree, rows)
    builder = small_cases.build(tree, tmp_path / "data")
    assert builder.info.metadata["folds"].keys() == {
        "TCGA_CS_4941",
        small_cases.name_of(3),
    }
    stored = small_cases.examples(builder)
    assert stored[CASE]["patient"] == b"TCGA_CS_4941"
    said = "2 of 3 cases are called by their patients in TCGA."
    assert said in capsys.readouterr().out


def test_only_of_real_cases_it_is_said_that_none_is_known(tree, capsys):
    files = raw_files.open_brats(tree)
    cases = releases.find_cases(files.names).cases
    told, bad = tcga.find_patients(files, cases)
    assert not bad and told == {one.key: one.patient for one in cases}
    assert "TCGA" not in capsys.readouterr().out
    real = [one._replace(key=one.key.replace("PHANTOM", "")) for one in cases]
    tcga.find_patients(files, real)
    said = "0 of 3 cases are called by their patients in TCGA.\nWhether a model"
    assert said in capsys.readouterr().out


def test_a_patient_whom_a_model_of_lgg_was_trained_on_is_known(tree, tmp_path):
    write_mapping(tree, [[CASE, "TCGA-CS-4941"]])
    small_cases.build(tree, tmp_path / "data")
    index = data_index.read_index(next(tmp_path.glob("data/brats2021/phantom/*")))
    # As folders of the LGG set are called: with the date of the scan.
    trained = ["TCGA_CS_4941_19960909", "TCGA_CS_4942_19970222"]
    assert leakage.known(index.patients, trained) == ["TCGA_CS_4941"]
    assert leakage.known(trained, index.patients) == trained[:1]


def test_a_table_that_contradicts_itself_is_named(tree, tmp_path):
    write_mapping(tree, [[CASE, "TCGA-CS-4941"], [CASE, "TCGA-HT-1234"]])
    with pytest.raises(
        raw.BadFile,
        match="Mapping.csv: says that case .*2 is TCGA_HT_1234's and TCGA_C",
    ):
        small_cases.build(tree, tmp_path / "data")
