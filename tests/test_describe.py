"""What --mode=describe says of a data set is what its raw files hold, and it is drawn."""

import csv
import json
import types
from collections import Counter

import numpy as np
import pytest
import tifffile
from PIL import Image

from brainseg_jax.data import survey
from brainseg_jax.modes import describe
from brainseg_jax.reports.parts import survey_examples, survey_pictures
from configs import base
from tests import small_folder, small_slices, tiny_classes, tiny_volumes

PICTURES = {f"{name}.png" for name in survey_pictures.PICTURES}
NEED_MASKS = {"pairs.png", "tumours.png", "mask_area.png", "mask_places.png"}


@pytest.fixture(scope="module")
def described(data_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("described")
    return describe.describe("lgg_mri/phantom", data_dir, folder), folder


@pytest.fixture(scope="module")
def masks(data_dir):
    """Of every raw file, by the key of its slice."""
    files = (data_dir / "raw/kaggle_3m").rglob("*_mask.tif")
    return {file.stem.removesuffix("_mask"): tifffile.imread(file) for file in files}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pictures(folder):
    return {path.name for path in folder.glob("*.png")}


def test_the_summary_counts_what_the_raw_files_hold(described, masks):
    summary, folder = described
    tumour = {key for key, mask in masks.items() if mask.any()}
    patients = {key.rpartition("_")[0] for key in masks}
    assert (
        (summary["patients"], summary["examples"])
        == (8, 40)
        == (len(patients), len(masks))
    )
    assert summary["with_foreground"] == len(tumour)
    assert summary["labels"]["tumour"] == {"examples": len(tumour), "patients": 8}
    pixels = sum((mask > 0).sum() for mask in masks.values())
    assert summary["mask_classes"]["tumour"]["pixels"] == pixels
    shares = [(masks[key] > 0).mean() for key in tumour]
    median = summary["mask_classes"]["tumour"]["median_share"]
    np.testing.assert_allclose(median, np.median(shares))
    assert summary["shapes"] == {"256x256": 40} and summary["note"].startswith(
        "PHANTOM"
    )
    # Of DU, HT, CS, DU, HT, FG, DU, HT.
    assert summary["institutions"] == {"DU": 3, "HT": 3, "CS": 1, "FG": 1}
    assert json.loads((folder / "summary.json").read_text()) == {
        **summary,
        "not_shown": [],
    }


def test_folds_add_up_to_the_whole(described):
    folds = described[0]["folds"]
    assert [*folds] == [f"fold_{number}" for number in range(5)]
    for key, whole in (("patients", 8), ("examples", 40)):
        assert sum(fold[key] for fold in folds.values()) == whole


def test_tables_have_a_row_for_each_example_and_each_patient(
    described, masks, data_dir
):
    folder = described[1]
    areas = {
        row["key"]: int(row["tumour_pixels"]) for row in rows(folder / "examples.csv")
    }
    assert areas == {key: (mask > 0).sum() for key, mask in masks.items()}
    clinical = rows(data_dir / "raw/kaggle_3m/data.csv")
    found = {
        row["patient"].rpartition("_")[0]: row for row in rows(folder / "patients.csv")
    }
    assert found.keys() == {row["Patient"] for row in clinical}
    for row in clinical:
        assert found[row.pop("Patient")].items() >= row.items()


def test_every_picture_is_drawn_and_says_that_the_data_are_synthetic(described):
    folder = described[1]
    assert pictures(folder) == PICTURES
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            assert "PHANTOM" in picture.text["Title"]
            assert np.asarray(picture).std() > 5


def test_examples_are_drawn_by_the_seed_and_of_all_patients_before_a_second(data_dir):
    found = survey.survey("lgg_mri/phantom", data_dir)

    def choose(seed):
        rng = np.random.default_rng(seed)
        return survey_examples.choose_rows(found, np.arange(40), rng, 10)

    assert choose(0) == choose(0) != choose(1)
    # Ten of eight patients: each once, two of them twice.
    patients = Counter(found.index.patients[row] for row in choose(0))
    assert sorted(patients.values()) == [1] * 6 + [2] * 2


def test_slices_of_two_sizes_and_three_classes(tmp_path, capsys):
    small_slices.build(small_slices.write_tree(tmp_path / "raw"), tmp_path)
    name = "figshare_brain_tumor/phantom"
    summary = describe.describe(name, tmp_path, tmp_path / "out")
    # One of the nine patients has the other size, each has two slices.
    assert summary["shapes"] == {"32x40": 16, "16x20": 2}
    classes = ("meningioma", "glioma", "pituitary")
    assert summary["labels"] == {one: {"examples": 6, "patients": 3} for one in classes}
    assert {one["examples"] for one in summary["mask_classes"].values()} == {6}
    assert pictures(tmp_path / "out") == PICTURES - {"patients.png"}
    with Image.open(tmp_path / "out/tumours.png") as picture:
        assert "publisher's border" in picture.text["Title"]
    said = capsys.readouterr().out
    assert "no institution is stored" in said and "no table of its patients" in said


def test_a_class_that_no_mask_has_is_said_to_have_no_example(tmp_path, capsys):
    raw = small_folder.write_pairs(tmp_path / "raw")
    small_folder.build(raw, tmp_path, classes={"tumour": 255, "cyst": 7})
    summary = describe.describe("folder/mine", tmp_path, tmp_path / "out")
    assert summary["mask_classes"]["cyst"]["examples"] == 0
    assert "mask of cyst: in 0 examples, 0 pixels\n" in capsys.readouterr().out


def test_volumes_are_shown_by_a_plane(tmp_path):
    name = tiny_volumes.build(tmp_path)
    summary = describe.describe(name, tmp_path, tmp_path / "out")
    found = [tiny_volumes.make_volume(n)[1] for n in range(len(tiny_volumes.SHAPES))]
    for region, labels in {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}.items():
        pixels = sum(np.isin(mask, labels).sum() for mask in found)
        assert summary["mask_classes"][region]["pixels"] == pixels
        assert summary["mask_classes"][region]["examples"] == 5  # the last is empty
    assert pictures(tmp_path / "out") == PICTURES - {"patients.png"}


def test_without_masks_their_pictures_are_left_out_and_named(tmp_path, capsys):
    name = tiny_classes.build(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/tumours.png").write_text("of another data set")
    summary = describe.describe(name, tmp_path, tmp_path / "out")
    assert summary["mask_classes"] == {}
    assert {one: of["examples"] for one, of in summary["labels"].items()} == {
        "cyst": 3,
        "tumour": 2,
    }
    assert pictures(tmp_path / "out") == PICTURES - NEED_MASKS - {"patients.png"}
    said = capsys.readouterr().out
    for picture in NEED_MASKS:
        assert f"{picture}: left out, for the data set has no masks" in said


def test_a_folder_that_cannot_be_written_is_refused_before_data_are_prepared(tmp_path):
    (tmp_path / "file").write_text("")
    prepare = lambda: pytest.fail("prepared")  # noqa: E731
    config = base.get_config()
    request = types.SimpleNamespace(
        outputs=tmp_path / "file/out", prepare_data=prepare, config=config
    )
    with pytest.raises(OSError, match="--outputs=.* cannot be written"):
        describe.run(request)
