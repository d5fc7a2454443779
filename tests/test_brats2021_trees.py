"""Raw cases of the BraTS builder that do not go together or cannot be reached."""

import os
import pathlib
import shutil
import tarfile
import zipfile

import pytest

from datasets import raw
from tests import damaged_cases, small_cases
from tests.damaged_cases import CASE, path_of

original, tree = damaged_cases.original, damaged_cases.tree


def test_all_faults_are_named_at_once(tree, tmp_path):
    for number in (1, 2, 3):
        path_of(tree, "seg", small_cases.name_of(number)).write_bytes(b"")
    with pytest.raises(raw.BadFile, match="^3 raw files cannot be used") as refusal:
        small_cases.build(tree, tmp_path / "data", skip_bad_files=True)
    for number in (1, 2, 3):
        assert small_cases.name_of(number) in str(refusal.value)
    assert small_cases.nothing_is_left(tmp_path / "data")


def test_files_that_may_not_be_read_are_named(tree, tmp_path, monkeypatch):
    read = pathlib.Path.read_bytes

    def refuse(path):
        if path.name.endswith("t1.nii.gz") and CASE in path.name:
            raise PermissionError(13, os.strerror(13), str(path))
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)  # tests may run as root
    with pytest.raises(raw.BadFile, match=r"t1.nii.gz: cannot be read \(Permission de"):
        small_cases.build(tree, tmp_path / "data")


def test_an_axis_order_that_no_published_case_has(tmp_path):
    shutil.copytree(small_cases.write_tree(tmp_path / "phantom"), tmp_path / "real")
    for path in sorted((tmp_path / "real").rglob("*PHANTOM*"), reverse=True):
        path.rename(path.with_name(path.name.replace("PHANTOM", "0")))
    with pytest.raises(
        raw.BadFile, match="7 x 8 x 9 voxels along z, y and x, where all"
    ):
        small_cases.build(tmp_path / "real", tmp_path / "data", "kaggle")


def test_synthetic_and_real_cases_are_told_apart(tree, tmp_path):
    with pytest.raises(
        raw.BadFile, match="is synthetic, so it is not for brats2021/kag"
    ):
        small_cases.build(tree, tmp_path / "data", "kaggle")
    for path in sorted(tree.rglob("*PHANTOM*"), reverse=True):
        path.rename(path.with_name(path.name.replace("PHANTOM", "0")))
    with pytest.raises(
        raw.BadFile, match="is real, so it is not for brats2021/phantom"
    ):
        small_cases.build(tree, tmp_path / "data")


def test_two_years_are_not_mixed(tree, tmp_path):
    folder = tree / "BraTS-GLI-PHANTOM00001-000"
    folder.mkdir()
    shutil.copy(path_of(tree), folder / f"{folder.name}-t1n.nii.gz")
    with pytest.raises(raw.BadFile, match="cases of BraTS 2021 and of BraTS 2023"):
        small_cases.build(tree, tmp_path / "data")


@pytest.mark.parametrize(
    "name, said",
    [
        ("", "brats2021 needs raw data"),
        ("nowhere", "There is no .*nowhere"),
        ("around", r"(?s)holds no BraTS2021_.*\nPerhaps .*around/training.tar\?"),
    ],
)
def test_without_raw_files_it_is_said_how_to_get_them(tmp_path, name, said):
    (tmp_path / "around").mkdir()
    (tmp_path / "around" / "training.tar").write_bytes(b"")
    with pytest.raises(raw.MissingRawData, match=said) as refusal:
        small_cases.build(name and tmp_path / name, tmp_path / "data", "kaggle")
    assert "BraTS2021_Training_Data.tar" in str(refusal.value)


@pytest.mark.parametrize("mode", ["w:gz", "cut"])
def test_a_tar_that_cannot_be_read_in_place_is_refused(tree, tmp_path, mode):
    path = tmp_path / ("cases.tar.gz" if mode == "w:gz" else "cases.tar")
    with tarfile.open(path, "w:gz" if mode == "w:gz" else "w") as archive:
        archive.add(tree, ".")
    if mode == "cut":
        path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(raw.BadFile, match="cannot be read as a tar .*fetch it again"):
        small_cases.build(path, tmp_path / "data")


def test_a_zip_around_the_tar_is_to_be_unpacked(tmp_path):
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BraTS2021_00495.tar", b"")
        archive.writestr("BraTS2021_Training_Data.tar", b"")
    said = r"holds BraTS2021_Training_Data.tar: unpack the zip, and pass that"
    with pytest.raises(raw.BadFile, match=said):
        small_cases.build(path, tmp_path / "data", "kaggle")
