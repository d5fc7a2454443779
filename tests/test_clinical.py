"""The publisher's table of patients is kept as written, and decides nothing."""

import csv
import shutil

import pytest
import tensorflow_datasets as tfds

from datasets import prepare, raw
from datasets.lgg_mri import clinical

PATIENTS = ["TCGA_CS_4941_19960909", "TCGA_DU_5849_19950405"]
TABLE = "Patient,gender,age\nTCGA_CS_4941,2,67\nTCGA_HT_1,1,\n"


def read(tmp_path, content, name="data.csv"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return clinical.read_table(raw.Folder(tmp_path), PATIENTS)


def test_rows_go_to_the_patients_whose_folders_there_are(tmp_path):
    known = {PATIENTS[0]: {"gender": "2", "age": "67"}}
    assert read(tmp_path, TABLE.encode("utf-8-sig")) == (known, [])


def test_of_two_tables_the_one_nearest_to_the_top_counts(tmp_path):
    read(tmp_path, b"Patient,gender\nTCGA_CS_4941,1\n", "copy/data.csv")
    known, bad = read(tmp_path, TABLE.encode())
    assert known[PATIENTS[0]]["gender"] == "2" and not bad


def test_copies_without_the_table_are_as_good(tmp_path):
    assert clinical.read_table(raw.Folder(tmp_path), PATIENTS) == ({}, [])


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"\xff\xfe\x00", "cannot be read as a table"),
        (b"patient_id,gender\nTCGA_CS_4941,1\n", "has no column Patient"),
        (b"Patient,gender\nTCGA_CS_4941,1,2\n", "longer or shorter"),
        (b"Patient,gender\nTCGA_CS_4941\n", "longer or shorter"),
    ],
)
def test_a_table_that_is_none_is_a_bad_file(tmp_path, content, reason):
    known, (bad,) = read(tmp_path, content)
    assert known == {} and bad["file"] == "data.csv" and reason in bad["reason"]


def test_the_builder_keeps_the_table_in_the_metadata(data_dir):
    """Of the phantom, whose last patient's values are lost."""
    (folder,) = (data_dir / "lgg_mri/phantom").glob("[0-9]*")
    metadata = tfds.builder_from_directory(folder).info.metadata
    with (data_dir / "raw/kaggle_3m/data.csv").open() as file:
        rows = {row.pop("Patient"): row for row in csv.DictReader(file)}
    table = metadata["patient_table"]
    assert {name.rpartition("_")[0]: row for name, row in table.items()} == rows
    assert [*table] == [*metadata["folds"]]
    assert set(rows["TCGA_HT_PHANTOM0008"].values()) == {""}


def test_a_bad_table_stops_the_build_unless_it_may_be_skipped(tmp_path, data_dir):
    tree = tmp_path / "kaggle_3m"
    shutil.copytree(data_dir / "raw/kaggle_3m", tree)
    (tree / "data.csv").write_text("nothing\n1\n")
    with pytest.raises(raw.BadFile, match="data.csv: has no column Patient"):
        prepare.prepare("lgg_mri/phantom", tmp_path / "data", tree)
