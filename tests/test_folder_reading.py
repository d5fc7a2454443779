"""One's own folder: many bad files, none, and what cannot be read or written."""

import csv
import errno
import os
import pathlib

import pytest

from datasets import bad_files, index, prepare, raw
from tests import small_folder
from tests.small_folder import FILE

pairs = small_folder.pairs


def test_a_folder_that_is_called_otherwise_is_said_once(pairs, tmp_path):
    said = (
        "no images in Images, which .*images names; there are pictures in images, masks"
    )
    with pytest.raises(raw.BadFile, match=said):
        small_folder.build(pairs, tmp_path / "data", images="Images")


def test_if_all_are_bad_leaving_them_out_is_not_advised(pairs, tmp_path):
    for path in (pairs / "masks").iterdir():
        path.write_bytes(b"")
    with pytest.raises(raw.BadFile, match="12 raw files cannot") as caught:
        small_folder.build(pairs, tmp_path / "data", skip_bad_files=True)
    said = str(caught.value)
    assert "2 more:\n    2 x cannot be decoded" in said and "skip_bad" not in said


def test_more_bad_files_than_a_message_names_are_all_in_a_table(pairs, tmp_path):
    data_dir, bad = tmp_path / "data", small_folder.names()[:11]
    for name in bad:
        (pairs / "images" / f"{name}.png").write_text("no picture")
    table = data_dir / "folder_mine_bad_files.csv"
    with pytest.raises(raw.BadFile, match=f"each with its reason: {table}$"):
        small_folder.build(pairs, data_dir)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"images/{name}.png" for name in bad]
    assert all(row["reason"].startswith("cannot be decoded: its 10") for row in rows)
    assert small_folder.nothing_is_left(data_dir)
    # Of ten the message names each, and a table would be of another attempt.
    small_folder.write(pairs / "images" / f"{bad[0]}.png", small_folder.picture(0))
    with pytest.raises(raw.BadFile, match="10 raw files cannot"):
        small_folder.build(pairs, data_dir)
    assert [*data_dir.glob("*bad_files*")] == []


def test_bad_files_are_named_though_their_table_cannot_be_written(
    tmp_path, monkeypatch
):
    def fill(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pathlib.Path, "replace", fill)
    many = [{"file": f"{n}\udcff.png", "reason": "is empty"} for n in range(11)]
    said = "(?s)11 raw files.*0.*The table of them all could not be written: .*No space"
    table = tmp_path / "bad_files.csv"
    with pytest.raises(raw.BadFile, match=said), bad_files.listed(table):
        raise raw.bad_files(many)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("raw/.hidden", b"", "holds no pictures: PNG, TIFF, JPEG and NIfTI"),
        (
            "raw/a.nii.gz",
            b"",
            "no images in the folder images and no masks in masks",
        ),
        ("raw/else/a.png", b"", "no images in the folder images and no masks in masks"),
        ("other", b"", "There is no .*raw"),
    ],
)
def test_a_folder_without_pictures_says_so(tmp_path, name, content, said):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(raw.MissingRawData, match=said):
        small_folder.build(tmp_path / "raw", tmp_path / "data")
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_without_a_raw_dir_the_key_is_named(tmp_path):
    with pytest.raises(raw.MissingRawData, match="--config.data.raw_dir="):
        small_folder.build("", tmp_path / "data")


def test_a_file_that_may_not_be_read_is_named(pairs, tmp_path, monkeypatch):
    read = pathlib.Path.read_bytes

    def refuse(path):
        if path.name == FILE and path.parent.name == "images":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    with pytest.raises(
        raw.BadFile, match=r"images/P1_2.png: cannot be read \(Permission"
    ):
        small_folder.build(pairs, tmp_path / "data")
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_a_folder_that_may_not_be_listed_is_named(pairs, tmp_path, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("masks"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(
        raw.BadFile, match="raw/masks cannot be opened .Permission denied"
    ):
        small_folder.build(pairs, tmp_path / "data")
    monkeypatch.undo()
    assert small_folder.nothing_is_left(tmp_path / "data")


FULL = os.strerror(errno.ENOSPC)


ARRAY_RECORD = RuntimeError(f"write() failed: {FULL}; writing /data/x.array_record")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, FULL), ARRAY_RECORD])
def test_a_disk_that_fills_up_is_a_sentence(pairs, tmp_path, monkeypatch, error):
    def fill(*arguments):
        raise error

    monkeypatch.setattr(index.Index, "write", fill)
    with pytest.raises(
        prepare.NoSpace,
        match=rf"The disk of {tmp_path}/data became full \({FULL}\)",
    ):
        small_folder.build(pairs, tmp_path / "data")
    assert small_folder.nothing_is_left(tmp_path / "data")
