"""A data set is described alike by its files, by a run's record and before either is."""

import shutil

import pytest

from brainseg_jax.data import info as data_info

NAME = "lgg_mri/phantom"


def test_a_prepared_data_set_describes_itself(data_dir):
    found = data_info.read_info(NAME, data_dir)
    assert found.channels == ("pre-contrast", "FLAIR", "post-contrast")
    assert found.classes == {"tumour": 255} and found.painting == []
    assert found.labels == ("no tumour", "tumour")
    assert (found.dimensions, found.dtype) == (2, "uint8")
    assert found.synthetic and "PHANTOM" in found.note("fold_0")
    assert set(found.folds.values()) == {0, 1, 2, 3, 4}


def test_a_record_older_than_a_field_has_what_was_so_then():
    record = {"name": "a/b", "classes": {"tumour": 255}, "channels": ["FLAIR"]}
    found = data_info.from_record({**record, "training_keys_sha256": "f00"})
    assert found.labels == data_info.TUMOUR_OR_NONE
    assert (found.dimensions, found.dtype) == (2, "uint8")
    assert found.painting == [] and found.folds == {} and not found.synthetic


def test_a_record_gives_back_what_was_described():
    given = data_info.described(
        "brats/2021",
        channels=["t1", "t2"],
        classes={"WT": [1, 2, 4], "ET": 4},
        labels=["none"],
        painting=[["WT", 2], ["ET", 4]],
        dimensions=3,
        dtype="int16",
    )
    assert given.classes == {"WT": [1, 2, 4], "ET": 4}
    assert given.painting == [("WT", 2), ("ET", 4)]
    assert data_info.from_record(vars(given)) == given


def test_the_newest_version_counts_and_other_folders_do_not(data_dir, tmp_path):
    (own,) = (data_dir / NAME).glob("*/dataset_info.json")
    for name in ("0.9.0", "1.0.0-backup", "0.10.0"):
        shutil.copytree(own.parent, tmp_path / NAME / name)
    builder = data_info.open_builder(NAME, tmp_path)
    assert builder.data_dir.endswith("/0.10.0")


def test_a_data_set_that_is_not_prepared_says_how(tmp_path):
    with pytest.raises(FileNotFoundError, match="--mode=prepare"):
        data_info.read_info(NAME, tmp_path)
