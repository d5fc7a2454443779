"""One's own pictures that cannot be used: each named with its fault, nothing left."""

import csv
import errno
import json
import os
import pathlib

import cv2
import numpy as np
import pytest
import tifffile

from datasets import bad_files, index, prepare, raw
from tests import small_folder

FILE = "P1_2.png"


@pytest.fixture
def pairs(tmp_path):
    return small_folder.write_pairs(tmp_path / "raw")


def rewrite(folder, change, name=FILE):
    """Another image or mask in its place."""

    def fault(tree):
        path = tree / folder / name
        pixels = change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        small_folder.write(path, pixels)

    return fault


def truncate(tree):
    path = tree / "images" / FILE
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_value(value):
    def change(pixels):
        changed = pixels.copy()
        changed[0, 0] = value
        return changed

    return change


def blur(pixels):
    return cv2.GaussianBlur(pixels, (0, 0), 1.5)


def pages(tree):
    (tree / "images" / FILE).unlink()
    stack = np.zeros((2, *small_folder.SHAPE), np.uint8)
    tifffile.imwrite(tree / "images" / "P1_2.tif", stack, photometric="minisblack")


def floats(tree):
    (tree / "images" / FILE).unlink()
    tifffile.imwrite(
        tree / "images" / "P1_2.tif", np.zeros(small_folder.SHAPE, "float32")
    )


def duplicate(tree):
    small_folder.write(tree / "images" / "P1_2.jpg", small_folder.picture(3))


def colours(channels):
    return lambda image: np.repeat(image[..., None], channels, axis=-1)


PAIR_FAULTS = {
    "no picture": (
        lambda tree: (tree / "images" / FILE).write_text("not a picture"),
        r"images/P1_2.png: cannot be decoded: its 13 bytes are damaged",
    ),
    "cut short": (truncate, "images/P1_2.png: cannot be decoded"),
    "empty file": (
        lambda tree: (tree / "masks" / FILE).write_bytes(b""),
        "masks/P1_2.png: cannot be decoded: its 0 bytes",
    ),
    "alpha": (
        rewrite("images", colours(4)),
        r"images/P1_2.png: has an alpha channel \(transparency\): save it without",
    ),
    "colours": (
        rewrite("images", colours(3)),
        r"has 3 channels, where 1 channel \(grey\) are declared",
    ),
    "16 bits": (
        rewrite("images", lambda image: image.astype(np.uint16) * 256),
        "images/P1_2.png: has 16 bits, but images/P0_1.png has 8: all pictures need",
    ),
    "floats": (floats, "P1_2.tif: has float32 values; whole numbers of 8 or 16 bits"),
    "pages": (pages, "images/P1_2.tif: has 2 pages, and a picture is one"),
    "grey mask": (
        rewrite("masks", blur),
        r"masks/P1_2.png: has the values 1, .* masks have 0, 255 alone, .* of JPEG",
    ),
    "unknown label": (
        rewrite("masks", with_value(7)),
        "has the values 7 in 1 pixels, and masks have 0, 255 alone",
    ),
    "coloured mask": (
        rewrite("masks", lambda mask: np.dstack([mask, 0 * mask, 0 * mask])),
        "masks/P1_2.png: is a mask with colours, and config.data.folder.classes tells",
    ),
    "alpha mask": (rewrite("masks", colours(4)), "masks/P1_2.png: has an alpha"),
    "other shape": (
        rewrite("masks", lambda mask: mask[:-1]),
        r"masks/P1_2.png: has the shape \(15, 20\), its image \(16, 20\)",
    ),
    "other format": (
        lambda tree: (tree / "images" / "P7_1.BMP").write_bytes(b""),
        "images/P7_1.BMP: is of a format that is not read: save it as PNG or TIFF",
    ),
    "no mask": (
        lambda tree: (tree / "masks" / FILE).unlink(),
        r"images/P1_2.png: has no mask masks/P1_2\.\*",
    ),
    "no image": (
        lambda tree: (tree / "images" / FILE).unlink(),
        "masks/P1_2.png: is a mask without an image",
    ),
    "duplicate": (duplicate, "images/P1_2.png: has the name of images/P1_2.jpg, too"),
}


@pytest.mark.parametrize(("fault", "said"), PAIR_FAULTS.values(), ids=PAIR_FAULTS)
def test_a_bad_picture_is_named_with_its_fault(pairs, tmp_path, fault, said):
    fault(pairs)
    with pytest.raises(raw.BadFile, match=said) as caught:
        small_folder.build(pairs, tmp_path / "data")
    assert "1 raw file cannot be used" in str(caught.value)
    assert "Mend the data" in str(caught.value)
    assert "--config.data.skip_bad_files=True" in str(caught.value)
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_an_unknown_colour_of_a_mask_is_named(pairs, tmp_path):
    for path in (pairs / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.dstack([0 * mask, 0 * mask, mask]))
    change = with_value((30, 20, 10))  # OpenCV has blue first
    rewrite("masks", change)(pairs)
    said = (
        r"P1_2.png: has 1 colours that are no class's, such as \(10, 20, 30\), in 1 p"
    )
    with pytest.raises(raw.BadFile, match=said):
        small_folder.build(pairs, tmp_path / "data", classes={"tumour": (255, 0, 0)})
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_images_whose_names_end_otherwise_are_named(tmp_path):
    tree = small_folder.write_pairs(tmp_path / "raw", suffix="_m")
    small_folder.write(tree / "masks" / "notes.png", small_folder.mask(1))
    with pytest.raises(
        raw.BadFile, match="notes.png: ends neither in '' .* nor in '_m'"
    ):
        small_folder.build(tree, tmp_path / "data", mask_suffix="_m")


# What is set, and what is said of it before anything is read.
SETTING_FAULTS = {
    "layout": (
        {"layout": "pair"},
        "layout is 'pair': it can be pairs, classes, nnunet",
    ),
    "label 0": ({"classes": {"tumour": 0}}, "has its label in the masks, 1 to 255"),
    "label 300": ({"classes": {"tumour": 300}}, "1 to 255"),
    "mixed": ({"classes": {"a": 1, "b": (1, 2, 3)}}, "or each has its colour"),
    "alike": ({"classes": {"a": 1, "b": 1}}, "two classes have the same value"),
    "no class": ({"classes": {}}, "classes is {}: each class"),
    "no channel": ({"channels": ()}, "channels is .*: it has 1 or more names"),
    "one label": ({"layout": "classes", "labels": ("a",)}, "it has 2 or more names"),
    "same folder": ({"masks": "images"}, "a mask cannot be told from an image"),
    "broken pattern": (
        {"patient": "(?P<patient>[a"},
        r"patient is .*: as a regular expression, it has unterminated character set",
    ),
    "no group": ({"patient": "(P.)_"}, r"it needs a group \(\?P<patient>...\)"),
    "two ways": (
        {"patient": small_folder.PATTERN, "one_patient_per_file": True},
        "patient and config.data.folder.one_patient_per_file both say whose",
    ),
    "columns": (
        {"table": "a.csv", "table_columns": ("file",)},
        "table_columns is .*: it names two columns",
    ),
}


@pytest.mark.parametrize(
    ("changes", "said"), SETTING_FAULTS.values(), ids=SETTING_FAULTS
)
def test_a_setting_that_cannot_be_names_its_key(tmp_path, changes, said):
    with pytest.raises(ValueError, match=f"config.data.folder..*{said}"):
        small_folder.build(tmp_path, tmp_path / "data", **changes)
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_without_a_patient_three_names_and_three_ways_are_shown(pairs, tmp_path):
    with pytest.raises(raw.BadFile, match="P0_1\n  P0_2\n  P1_1\n") as caught:
        small_folder.build(pairs, tmp_path / "data", patient="")
    for way in ("patient='", "table=patients.csv", "one_patient_per_file=True"):
        assert f"--config.data.folder.{way}" in str(caught.value)
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_a_pattern_that_fits_no_name_shows_three(pairs, tmp_path):
    with pytest.raises(raw.BadFile, match=r"finds no patient(.|\n)*P0_1\n  P0_2\n"):
        small_folder.build(pairs, tmp_path / "data", patient="TCGA_(?P<patient>..)")


def test_patients_whose_names_differ_in_case_alone_are_refused(pairs, tmp_path):
    for kind in ("images", "masks"):
        (pairs / kind / "P5_2.png").rename(pairs / kind / "p5_2.png")
    with pytest.raises(
        raw.BadFile, match="p5_2 is of patient p5, and others are of P5"
    ):
        small_folder.build(pairs, tmp_path / "data")
    assert small_folder.nothing_is_left(tmp_path / "data")


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


def test_a_pattern_that_fits_some_names_lists_the_others(pairs, tmp_path):
    with pytest.raises(
        raw.BadFile, match=r"2 raw files(.|\n)*P5_1.png: has no patient"
    ):
        small_folder.build(pairs, tmp_path / "data", patient="(?P<patient>P[0-4])")


ROWS = [f"{name},{name[:2]}" for name in small_folder.names()]
TABLE_FAULTS = {
    "no column": (
        ["scan,patient", *ROWS],
        "has no column 'file'; it has scan, patient",
    ),
    "semicolons": (["file;patient"], "has no column 'file'; it has file;patient"),
    "no rows": (["file,patient"], r"has the patient of no picture.*\(none\)"),
    "a row less": (["file,patient", *ROWS[:-1]], "P5_2.png: has no row in who.csv"),
    "two patients": (
        ["file,patient", *ROWS, "P1_1.png,P9"],
        "P1_1.png: has patients P1, P9 in who.csv",
    ),
    "nobody": (["file,patient", *ROWS[1:], "P0_1,"], "P0_1.png: has no patient in who"),
    "empty": ([], "has no column 'file'; it has none"),
}


@pytest.mark.parametrize(("lines", "said"), TABLE_FAULTS.values(), ids=TABLE_FAULTS)
def test_a_table_that_does_not_fit_is_named(pairs, tmp_path, lines, said):
    (pairs / "who.csv").write_text("\n".join(lines))
    with pytest.raises(raw.BadFile, match=said):
        small_folder.build(pairs, tmp_path / "data", table="who.csv")
    assert small_folder.nothing_is_left(tmp_path / "data")


def test_a_table_that_is_not_there_or_not_text_is_named(pairs, tmp_path):
    with pytest.raises(raw.BadFile, match="table=who.csv is neither in .* nor a file"):
        small_folder.build(pairs, tmp_path / "data", table="who.csv")
    (tmp_path / "who.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.raises(raw.BadFile, match="cannot be read as a table of text"):
        small_folder.build(pairs, tmp_path / "data", table=str(tmp_path / "who.xls"))


def test_a_name_that_two_folders_have_needs_its_folder_in_the_table(tmp_path):
    for part in "ab":
        tree = small_folder.write_pairs(
            tmp_path / "raw", images=f"images/{part}", masks=f"masks/{part}"
        )
    (tree / "who.csv").write_text("\n".join(["file,patient", *ROWS, "a/P0_1,P0"]))
    said = "a/P0_2.png: is one of 2 files that who.csv calls P0_2"
    with pytest.raises(raw.BadFile, match=f"23 raw files(.|\n)*{said}"):
        small_folder.build(tree, tmp_path / "data", table="who.csv")


def one_file(tree):
    small_folder.write(tree / "rare" / "P9_1.png", small_folder.picture(9))


def one_class(tree):
    for path in (tree / "yes").iterdir():
        path.rename(tree / "no" / path.name)


def loose(tree):
    small_folder.write(tree / "P9_1.png", small_folder.picture(9))


def twice(tree):
    small_folder.write(tree / "no" / "P0_1.jpg", small_folder.picture(0))


def other_formats(tree):
    for path in (tree / "yes").iterdir():
        path.rename(path.with_suffix(".webp"))


def volumes(tree):
    (tree / "yes" / "P9.nii.gz").write_bytes(b"")


CLASS_FAULTS = {
    "other formats": (other_formats, {}, "6 raw files(.|\n)*yes/P1_1.webp: is of a f"),
    "volume": (volumes, {}, "yes/P9.nii.gz: is a volume, and classes are of pictures"),
    "one file": (one_file, {}, "The class rare has 1 file of one patient, who cannot"),
    "one class": (one_class, {}, "There is one class, 'no': a classifier needs two"),
    "loose": (loose, {}, "P9_1.png: lies in no folder of a class"),
    "twice": (twice, {}, "no/P0_1.png: has the name of no/P0_1.jpg, too"),
    "absent": (
        lambda tree: None,
        {"labels": ("no", "maybe")},
        "no pictures in a folder maybe, one of .*labels; there are folders no, yes",
    ),
}


@pytest.mark.parametrize(
    ("fault", "changes", "said"), CLASS_FAULTS.values(), ids=CLASS_FAULTS
)
def test_a_bad_class_folder_is_named(tmp_path, fault, changes, said):
    tree = small_folder.write_classes(tmp_path / "raw")
    fault(tree)
    with pytest.raises(raw.BadFile, match=said):
        small_folder.build(tree, tmp_path / "data", layout="classes", **changes)
    assert small_folder.nothing_is_left(tmp_path / "data")


V1 = {"modality": {"0": "T1"}, "channel_names": None}
LIES = {
    "count": ({"numTraining": 11}, "has numTraining 11, but labelsTr holds 12 cases"),
    "ending": ({"file_ending": ".tif"}, r"'.tif', and .*Tr holds no such file, but f"),
    "volumes": ({"file_ending": ".nii.gz"}, r"'.nii.gz', and .*Tr holds no such f"),
    "bmp": ({"file_ending": ".bmp"}, "has the file_ending '.bmp'; .png, .tif"),
    "a channel more": (
        {"channel_names": {"0": "T1", "1": "T2", "2": "FLAIR"}},
        r"has 2 channels, where 3 channels \(T1, T2, FLAIR\) are declared",
    ),
    "numbers": ({"channel_names": {"1": "T1", "2": "T2"}}, "names .* are numbered"),
    "list": ({"channel_names": ["T1", "T2"]}, "has the channel_names"),
    "number": ({"channel_names": 2}, "has the channel_names 2"),
    "labels": (
        {"labels": {"background": 0, "tumour": 1}},
        "has the values 2 in 6 pixels, and masks have 0, 1 alone",
    ),
    "no background": ({"labels": {"tumour": 1, "oedema": 2}}, '"background": 0 among'),
    "text": ({"labels": {"background": 0, "a": "1"}}, "has the label '1' for a"),
    "two names": ({"labels": {"background": 0, "a": 1, "b": 1}}, "two names for one"),
    "ignore": ({"labels": {"background": 0, "a": 1, "ignore": 2}}, "a label ignore"),
    "nothing": ({"labels": {"background": 0}}, "names no label but background"),
    "no order": (
        {"labels": {"background": 0, "whole": [1, 2], "core": 2}},
        "labels that are regions, and regions_class_order None",
    ),
    "no label of a region": (
        {
            "labels": {"background": 0, "whole": [1, 2], "core": 2},
            "regions_class_order": [3, 2],
        },
        "has 3 for whole in regions_class_order; it has to be one of its labels, 1, 2",
    ),
    "lacks": ({"numTraining": None}, "lacks numTraining"),
    "version 1": (V1, "is of nnU-Net's version 1"),
}


@pytest.mark.parametrize(("changes", "said"), LIES.values(), ids=LIES)
def test_a_dataset_json_that_lies_is_found_out(tmp_path, changes, said):
    tree = small_folder.write_nnunet(tmp_path / "raw", **changes)
    with pytest.raises(raw.BadFile, match=said):
        small_folder.build(tree, tmp_path / "data", layout="nnunet")
    assert small_folder.nothing_is_left(tmp_path / "data")


def misname(tree):
    path = tree / "imagesTr" / "P0_1_0000.png"
    path.rename(path.with_name("P0 first.png"))


def lose_channel(tree):
    (tree / "imagesTr" / "P0_1_0001.png").unlink()


def skip_number(tree):
    path = tree / "imagesTr" / "P0_1_0001.png"
    path.rename(path.with_name("P0_1_0002.png"))


def lose_mask(tree):
    (tree / "labelsTr" / "P0_1.png").unlink()
    said = json.loads((tree / "dataset.json").read_text())
    (tree / "dataset.json").write_text(json.dumps({**said, "numTraining": 11}))


def other_size(tree):
    small_folder.write(
        tree / "imagesTr" / "P0_1_0001.png", small_folder.picture(1, (8, 8))
    )


CASE_FAULTS = {
    "misnamed": (misname, "P0 first.png: is not called <case>_0000.png"),
    "channel": (lose_channel, "P0_1_0000.png: has 1 channel, where 2 channels"),
    "gap": (skip_number, "P0_1_0002.png: comes without P0_1_0001"),
    "no mask": (lose_mask, "P0_1_0000.png: has no mask labelsTr/P0_1.png"),
    "sizes": (other_size, r"has channels of other sizes or types: .*uint8 \(8, 8\)"),
    "no json": (lambda t: (t / "dataset.json").unlink(), "holds no dataset.json"),
    "not json": (lambda t: (t / "dataset.json").write_text("{"), "is not JSON"),
    "json list": (lambda t: (t / "dataset.json").write_text("[]"), "not a JSON object"),
}


@pytest.mark.parametrize(("fault", "said"), CASE_FAULTS.values(), ids=CASE_FAULTS)
def test_a_case_that_does_not_fit_is_named(tmp_path, fault, said):
    tree = small_folder.write_nnunet(tmp_path / "raw")
    fault(tree)
    with pytest.raises((raw.BadFile, raw.MissingRawData), match=said):
        small_folder.build(tree, tmp_path / "data", layout="nnunet")
    assert small_folder.nothing_is_left(tmp_path / "data")


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


def test_synthetic_pictures_among_real_ones_are_refused(pairs, tmp_path):
    for folder in ("images", "masks"):
        (pairs / folder / FILE).rename(pairs / folder / "PHANTOM0001_1.png")
    with pytest.raises(
        raw.BadFile, match="PHANTOM0001_1.png is synthetic.*11 pictures"
    ):
        small_folder.build(pairs, tmp_path / "data")
    assert small_folder.nothing_is_left(tmp_path / "data")


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
