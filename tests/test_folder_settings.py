"""Settings, patterns and tables that do not fit one's own pictures: each named."""

import pytest

from datasets import raw
from tests import small_folder

pairs = small_folder.pairs

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
