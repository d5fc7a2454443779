"""Raw files of the figshare builder that are not as published: each named, nothing left."""

import pathlib
import shutil

import h5py
import numpy as np
import pytest

from datasets import index, prepare, raw
from datasets.figshare_brain_tumor import downloads
from datasets.synthetic import matlab
from tests import small_slices


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return small_slices.write_tree(tmp_path_factory.mktemp("raw") / "figshare")


@pytest.fixture
def tree(original, tmp_path):
    """A copy to damage."""
    return pathlib.Path(shutil.copytree(original, tmp_path / "figshare"))


def set_field(field, value):
    def fault(path):
        change = value(small_slices.read(path, field)) if callable(value) else value
        small_slices.replace(path, field, change)

    return fault


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rename_struct(path):
    with h5py.File(path, "r+") as file:
        file.move("cjdata", "data")


def with_value(value, dtype):
    def change(array):
        changed = array.astype(dtype)
        changed[3, 3] = value
        return changed

    return change


FAULTS = {
    "truncated": (truncate, r"cannot be read as MATLAB 7.3 \(.*truncated"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read as MATLAB 7.3"),
    "text": (lambda path: path.write_text("no"), "cannot be read as MATLAB 7.3"),
    "no struct": (rename_struct, r"MATLAB 7.3 \(it has no cjdata\)"),
    "no mask": (set_field("tumorMask", None), r"\(cjdata has no tumorMask\)"),
    "class 4": (set_field("label", [[4.0]]), "is of class 4; there are 1 to 3"),
    "two classes": (set_field("label", [[1.0, 2.0]]), "is of class 1, 2; there"),
    "shape": (
        set_field("tumorMask", lambda mask: mask[:-1]),
        r"has a mask of shape \(32, 39\) for an image of \(32, 40\)",
    ),
    "empty mask": (set_field("tumorMask", lambda mask: 0 * mask), "has an empty mask"),
    "grey mask": (
        set_field("tumorMask", lambda mask: 9 * mask),
        "the value 9, not 0 and 1",
    ),
    "negative": (
        set_field("image", with_value(-7, "<i2")),
        "the negative value -7 in image",
    ),
    "NaN": (
        set_field("image", with_value(np.nan, "<f8")),
        "in image that is no number",
    ),
    "too high": (
        set_field("image", with_value(70_000, "<i4")),
        "70000 in image, above 65535",
    ),
    "half": (set_field("image", with_value(0.5, "<f8")), "in image that is not whole"),
    "volume": (set_field("image", lambda image: image[None]), "image with 3 axes"),
    "huge": (
        set_field("image", np.zeros((5000, 1))),
        r"image has the shape \(5000, 1\)",
    ),
    "two patients": (
        set_field("PID", np.array([[80, 81], [80, 81]], np.uint16)),
        "names 2 patients in PID",
    ),
    "nameless": (set_field("PID", np.array([[0]], np.uint16)), "the patient's name"),
    "odd border": (set_field("tumorBorder", [[1.0, 2.0, 3.0]]), "not x, y of points"),
    "another class": (
        set_field("label", [[3.0]]),
        "is of class 3, but 1.mat of the same patient, PHANTOM0000, is of class 1",
    ),
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_bad_file_is_named_with_the_fault_and_the_remedy(
    tree, tmp_path, fault, reason
):
    fault(tree / "10.mat")
    with pytest.raises(raw.BadFile, match=reason) as caught:
        small_slices.build(tree, tmp_path / "data")
    assert "  10.mat: " in str(caught.value) and "1 raw file" in str(caught.value)
    assert "--config.data.skip_bad_files=True" in str(caught.value)
    assert small_slices.nothing_is_left(tmp_path / "data")


@pytest.mark.parametrize("number", [0, 4000])
def test_a_slice_that_no_fold_is_published_of_is_named(tree, tmp_path, number):
    (tree / "10.mat").rename(tree / f"{number}.mat")
    said = f"{number}.mat is no slice that cvind.mat has a fold of: .* 1 to 18"
    with pytest.raises(raw.BadFile, match=said):
        small_slices.build(tree, tmp_path / "data")
    assert small_slices.nothing_is_left(tmp_path / "data")


def test_bad_slices_can_be_skipped_and_are_listed(tree, tmp_path):
    truncate(tree / "10.mat")
    shutil.copy(tree / "3.mat", tree / "003.mat")
    metadata = small_slices.build(
        tree, tmp_path / "data", skip_bad_files=True
    ).info.metadata
    assert [bad["file"] for bad in metadata["skipped"]] == ["3.mat", "10.mat"]
    assert metadata["slices"] == 17 and metadata["patients"] == 9
    assert "10" not in sum([*metadata["official"].values()], [])


def add_another_first(tree):
    (tree / "more").mkdir()
    shutil.copy(tree / "2.mat", tree / "more" / "1.mat")


def break_folds(tree):
    truncate(tree / "cvind.mat")


def other_folds(*folds):
    return lambda tree: matlab.write_folds(tree / "cvind.mat", folds)


def add_other_folds(tree):
    (tree / "more").mkdir()
    matlab.write_folds(tree / "more" / "cvind.mat", [1])


TREE_FAULTS = {
    "duplicate": (add_another_first, "more/1.mat: has the number of 1.mat, too"),
    "name": (lambda t: (t / "x.mat").write_text(""), "x.mat: is called neither"),
    "no folds": (lambda t: (t / "cvind.mat").unlink(), "holds no cvind.mat.*1512427"),
    "broken folds": (break_folds, "cvind.mat cannot be read as MATLAB 7.3"),
    "short folds": (
        other_folds(1, 2, 3),
        "cvind.mat has the folds of 3 slices, not of 18",
    ),
    "fold 6": (
        other_folds(*[6] * 18),
        "cvind.mat has folds from 6 to 6; there are 1 to 5",
    ),
    "astray": (other_folds(*[1] * 9, *[2] * 9), "has patient PHANTOM0000 in two folds"),
    "two folds": (add_other_folds, "more/cvind.mat is another than cvind.mat"),
}


@pytest.mark.parametrize(("fault", "reason"), TREE_FAULTS.values(), ids=TREE_FAULTS)
def test_a_bad_folder_is_named_with_its_fault(tree, tmp_path, fault, reason):
    fault(tree)
    with pytest.raises((raw.BadFile, raw.MissingRawData), match=reason):
        small_slices.build(tree, tmp_path / "data")
    assert small_slices.nothing_is_left(tmp_path / "data")


def test_published_slices_need_the_folds_of_all(tmp_path):
    tree = small_slices.write_tree(tmp_path / "real", patients=3, name="10{}")
    with pytest.raises(raw.BadFile, match="has the folds of 6 slices, not of 3,064"):
        small_slices.build(tree, tmp_path / "data", "figshare")
    matlab.write_folds(tree / "cvind.mat", [1, 2, 3, *[1, 2, 3], *[4] * 3058])
    assert (
        small_slices.build(tree, tmp_path / "data", "figshare").info.metadata[
            "synthetic"
        ]
        is False
    )


def test_synthetic_slices_are_refused_as_real_ones(tree, tmp_path):
    with pytest.raises(raw.BadFile, match="1.mat is synthetic, so it is not for"):
        small_slices.build(tree, tmp_path / "data", "figshare")


@pytest.mark.parametrize("raw_dir", ["empty", "absent"])
def test_missing_raw_data_says_where_to_get_it_and_how_to_pass_it(tmp_path, raw_dir):
    (tmp_path / "empty").mkdir()
    with pytest.raises(raw.MissingRawData, match="--config.data.raw_dir") as caught:
        small_slices.build(tmp_path / raw_dir, tmp_path / "data")
    assert downloads.ARTICLE in str(caught.value) and small_slices.nothing_is_left(
        tmp_path / "data"
    )


def test_a_file_that_may_not_be_read_is_named(tree, tmp_path, monkeypatch):
    read = pathlib.Path.read_bytes

    def refuse(path):
        if path.name == "10.mat":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    with pytest.raises(
        raw.BadFile, match=r"10.mat: cannot be read \(Permission denied\)"
    ):
        small_slices.build(tree, tmp_path / "data")
    assert small_slices.nothing_is_left(tmp_path / "data")


def test_a_disk_that_fills_up_is_a_sentence(tree, tmp_path, monkeypatch):
    def fill(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index.Index, "write", fill)
    with pytest.raises(
        prepare.NoSpace, match=f"The disk of {tmp_path}/data became full"
    ):
        small_slices.build(tree, tmp_path / "data")
    assert small_slices.nothing_is_left(tmp_path / "data")
