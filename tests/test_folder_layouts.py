"""Folders of classes and of nnU-Net that are not as they should be: each named."""

import json

import pytest

from datasets import raw
from tests import small_folder


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
