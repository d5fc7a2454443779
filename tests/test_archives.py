"""Zips in zips, read in place: what is in them, and what is refused by name."""

import os
import pathlib
import shutil
import tempfile
import zipfile

import pytest
import tensorflow_datasets as tfds

from datasets import archives, prepare, raw
from tests import small_slices


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return small_slices.write_tree(tmp_path_factory.mktemp("raw") / "figshare")


def write_zip(path, contents, compression=zipfile.ZIP_DEFLATED):
    """From a file or bytes by each name."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            if isinstance(content, pathlib.Path):
                archive.write(content, name)
            else:
                archive.writestr(name, content)
    return path


@pytest.fixture
def four_zips(original, tmp_path):
    """As published: the slices in four zips, and cvind.mat beside them."""
    folder = tmp_path / "four"
    folder.mkdir()
    files = sorted(original.glob("[0-9]*.mat"))
    for part in range(4):
        write_zip(
            folder / f"part_{part}.zip", {file.name: file for file in files[part::4]}
        )
    shutil.copy(original / "cvind.mat", folder)
    return folder


def article(folder, tmp_path, compression):
    """All of a folder in one zip."""
    contents = {file.name: file for file in folder.iterdir()}
    return write_zip(tmp_path / "article.zip", contents, compression)


def read_all(path):
    """Contents by the last part of the name."""
    files = archives.Files(path)
    return {pathlib.PurePosixPath(name).name: files.read(name) for name in files.names}


def test_four_zips_hold_what_the_folder_holds(original, four_zips):
    assert read_all(four_zips) == read_all(original)
    assert "part_0.zip/1.mat" in archives.Files(four_zips).names


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_so_does_the_zip_of_the_four_zips(original, four_zips, tmp_path, compression):
    assert read_all(article(four_zips, tmp_path, compression)) == read_all(original)


def test_zips_that_are_stored_in_a_zip_are_not_copied(four_zips, tmp_path, monkeypatch):
    path = article(four_zips, tmp_path, zipfile.ZIP_STORED)
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    assert len(read_all(path)) == 19


def test_hidden_files_are_left_out(original, tmp_path):
    contents = {"1.mat": original / "1.mat", "__MACOSX/._1.mat": b"", ".DS_Store": b""}
    path = write_zip(tmp_path / "mac.zip", contents)
    assert archives.Files(path).names == ["1.mat"]


def test_a_data_set_is_built_from_any_of_them(original, four_zips, tmp_path):
    deeper = tmp_path / "folders" / "of" / "them"
    shutil.copytree(original, deeper)
    shutil.move(deeper / "1.mat", tmp_path / "folders")
    stored = article(four_zips, tmp_path, zipfile.ZIP_STORED)
    whole = built(original, tmp_path / "a")
    assert len(whole) == 18
    assert built(stored, tmp_path / "b") == built(four_zips, tmp_path / "c") == whole
    assert built(tmp_path / "folders", tmp_path / "d") == whole


def built(raw_dir, data_dir):
    """Keys and pixels, fold after fold."""
    folder = prepare.prepare("figshare_brain_tumor/phantom", data_dir, raw_dir)
    builder = tfds.builder_from_directory(folder)
    return [
        (name, one["key"], one["image"].tobytes(), one["mask"].tobytes())
        for name in builder.info.splits
        for one in builder.as_data_source(name)
    ]


def too_deep(folder):
    inner = write_zip(folder / "inner", {"1.mat": b"1"})
    middle = write_zip(folder / "middle", {"b.zip": inner})
    return write_zip(folder / "a.zip", {"parts/c.zip": middle})


def outside(name):
    return lambda folder: write_zip(folder / "a.zip", {name: b"1"})


def bomb(folder):
    return write_zip(folder / "a.zip", {"1.mat": bytes(archives.LARGEST_FILE + 1)})


def inner_bomb(folder):
    path = write_zip(folder / "a.zip", {"b.zip": b"1"})
    data = path.read_bytes()  # in its listing, four bytes at 24 say how large it is
    place = data.index(b"PK\x01\x02") + 24
    size = (archives.LARGEST_ZIP + 1).to_bytes(4, "little")
    path.write_bytes(data[:place] + size + data[place + 4 :])
    return path


def no_zip(folder):
    (folder / "a.zip").write_bytes(b"PK\x03\x04 and no more")
    return folder / "a.zip"


def no_zip_within(folder):
    return write_zip(folder / "a.zip", {"b.zip": b"PK\x03\x04 and no more"})


def no_zip_in_folder(folder):
    return no_zip(folder).parent


FAULTS = {
    "too deep": (
        too_deep,
        "parts/c.zip/b.zip is a zip in a zip in a zip: unpack parts/",
    ),
    "zip-slip": (
        outside("../../1.mat"),
        r"a.zip holds '../../1.mat', which would lie out",
    ),
    "root": (outside("/etc/1.mat"), "'/etc/1.mat', which would lie outside"),
    "drive": (outside("C:\\1.mat"), "1.mat', which would lie outside"),
    "bomb": (
        bomb,
        r"67,108,865 bytes where 67,108,864 .* unpack it and pass the folder",
    ),
    "inner bomb": (inner_bomb, "holds b.zip, which unpacks to 1,073,741,825 bytes"),
    "no zip": (no_zip, "neither a folder nor a readable zip.*cut short"),
    "no zip within": (
        no_zip_within,
        r"^b.zip cannot be opened \(File is not a zip file",
    ),
    "no zip in folder": (
        no_zip_in_folder,
        r"^a.zip cannot be opened \(File is not a zip",
    ),
}


@pytest.mark.parametrize(("make", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_zip_that_is_not_to_be_trusted_is_named(tmp_path, make, reason):
    (tmp_path / "raw").mkdir()
    path = make(tmp_path / "raw")
    for extra in ("inner", "middle"):
        (tmp_path / "raw" / extra).unlink(missing_ok=True)
    with pytest.raises(raw.BadFile, match=reason):
        prepare.prepare("figshare_brain_tumor/phantom", tmp_path / "data", path)
    assert not [*tmp_path.glob("data/figshare_brain_tumor/[!.]*/[!.]*")]


def test_a_damaged_file_in_a_zip_is_named(original, tmp_path):
    path = write_zip(tmp_path / "a.zip", {"1.mat": original / "1.mat"}, 0)
    data = path.read_bytes()
    path.write_bytes(data[:2000] + b"\xff" + data[2001:])
    files = archives.Files(path)
    with pytest.raises(ValueError, match="cannot be read .Bad CRC-32"):
        files.read("1.mat")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    """Not passed over, with all that lies in it."""
    (tmp_path / "one").mkdir()
    (tmp_path / ".hidden").mkdir()
    scan = os.scandir

    def refuse(path):
        if path == str(tmp_path):
            return scan(path)
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    said = f"{tmp_path}/one cannot be opened .Permission denied.: see that you may"
    with pytest.raises(raw.BadFile, match=said):
        archives.Files(tmp_path)


def test_linked_folders_are_read_and_a_folder_that_comes_twice_is_named(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    (tmp_path / "raw" / "images").symlink_to(tmp_path / "elsewhere")
    assert archives.Files(tmp_path / "raw").names == ["images/a.png"]
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "raw")
    with pytest.raises(
        raw.BadFile, match="raw/images/again and .*raw are links to one"
    ):
        archives.Files(tmp_path / "raw")
