"""A data set is described alike by its files, by a run's record and before either is."""

import shutil

import numpy as np
import pytest

from brainseg_jax.data import info as data_info

NAME = "lgg_mri/phantom"


def test_spacings_are_alike_to_one_percent_as_far_as_they_are_known():
    alike = data_info.spacings_alike
    assert alike((1.0, 1.0, 2.5), (1.009, 1.0, 2.5)) and alike((), (1.0,) * 3)
    assert alike((np.nan,) * 3, (1.0,) * 3)
    assert not alike((1.0, 1.0, 2.5), (1.0, 1.02, 2.5))


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


def described(**classes):
    painting = [["WT", 2], ["ET", 4]] if "WT" in classes else []
    return data_info.described(
        "a/b", channels=["t1"], classes=classes, labels=["none"], painting=painting
    )


def test_all_labels_of_a_mask_make_one_class():
    kinds = described(meningioma=1, glioma=2, pituitary=3)
    assert kinds.joined("") is kinds
    joined = kinds.joined("tumour")
    assert joined.classes == {"tumour": [1, 2, 3]}
    assert joined.painting == [("tumour", 1)]
    assert joined.joined("tumour") == joined
    assert data_info.from_record(joined.to_record()) == joined
    assert described(tumour=255).joined("lesion").classes == {"lesion": 255}


def test_labels_are_kinds_unless_they_say_whether_anything_is_marked():
    def of(*labels):
        return data_info.described(
            "a/b", channels=["t1"], classes={"tumour": 1}, labels=labels
        )

    for labels in (("no tumour", "tumour"), ("empty", "not empty"), ("none",)):
        assert of(*labels).kinds == ()
    kinds = ("meningioma", "glioma", "pituitary")
    assert of(*kinds).kinds == of(*kinds).joined("lesion").kinds == kinds
    assert of("glioma", "meningioma").kinds == ("glioma", "meningioma")


def test_regions_that_contain_each_other_are_joined_by_their_labels():
    regions = described(WT=[1, 2, 4], ET=4)
    assert regions.joined("WT").classes == {"WT": [1, 2, 4]}


def test_a_foreground_is_not_named_like_one_class_of_several():
    with pytest.raises(ValueError, match="only one of the classes meningioma, glioma"):
        described(meningioma=1, glioma=2).joined("glioma")


def test_the_newest_version_counts_and_other_folders_do_not(data_dir, tmp_path):
    (own,) = (data_dir / NAME).glob("*/dataset_info.json")
    for name in ("0.9.0", "1.0.0-backup", "0.10.0"):
        shutil.copytree(own.parent, tmp_path / NAME / name)
    builder = data_info.open_builder(NAME, tmp_path)
    assert builder.data_dir.endswith("/0.10.0")


def test_a_data_set_that_is_not_prepared_says_how(tmp_path):
    with pytest.raises(FileNotFoundError, match="--mode=prepare"):
        data_info.read_info(NAME, tmp_path)
