"""One's own pictures, prepared from each layout: every pixel, label, patient and fold."""

import pathlib
import shutil
from itertools import product

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from brainseg_jax.data import image_files
from brainseg_jax.data import info as data_info
from configs import cnn_folder
from datasets import prepare
from tests import real_samples, small_folder

RGB = ("red", "green", "blue")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return small_folder.write_pairs(tmp_path_factory.mktemp("raw") / "pairs")


def test_pairs_are_stored_as_they_are(pairs, tmp_path):
    builder = small_folder.build(pairs, tmp_path)
    found = small_folder.examples(builder)
    assert list(sorted(found)) == small_folder.names()
    for number, name in enumerate(small_folder.names()):
        shape, one = small_folder.shape_of(number), found[name]
        np.testing.assert_array_equal(
            one["image"][..., 0], small_folder.picture(number, shape)
        )
        np.testing.assert_array_equal(
            one["mask"][..., 0], small_folder.mask(number, shape)
        )
        assert (one["patient"].decode(), one["slice"]) == (name[:2], int(name[3]))
        assert one["label"] == (number % 4 > 0)


def test_the_metadata_say_what_a_data_set_is(pairs, tmp_path):
    metadata = small_folder.build(pairs, tmp_path).info.metadata
    assert metadata["classes"] == {"tumour": 255} and metadata["channels"] == ["grey"]
    assert (metadata["patients"], metadata["slices"]) == (6, 12)
    assert metadata["tumour_slices"] == 9 and not metadata["synthetic"]
    assert sorted(metadata["folds"]) == ["P0", "P1", "P2", "P3", "P4", "P5"]
    assert sorted(set(metadata["folds"].values())) == [0, 1, 2, 3, 4]
    assert metadata["source"] == str(pairs) and not metadata["one_patient_per_file"]


def test_a_suffix_tells_masks_in_one_folder_and_a_zip_is_read_in_place(tmp_path):
    raw = small_folder.write_pairs(
        tmp_path / "raw", images="scans", masks="scans", suffix="_mask"
    )
    archive = shutil.make_archive(str(tmp_path / "scans"), "zip", raw)
    builder = small_folder.build(
        archive, tmp_path / "data", images="scans", masks="scans", mask_suffix="_mask"
    )
    assert sorted(small_folder.examples(builder)) == small_folder.names()


def test_masks_may_lie_within_the_folder_of_images(tmp_path):
    raw = small_folder.write_pairs(tmp_path / "raw", images=".", masks="labels")
    builder = small_folder.build(raw, tmp_path / "data", images="", masks="labels/")
    assert sorted(small_folder.examples(builder)) == small_folder.names()


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits_are_kept(tmp_path, ending):
    raw = small_folder.write_pairs(tmp_path / "raw", dtype=np.uint16)
    if ending == ".tif":
        for path in (raw / "images").glob("*.png"):
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            tifffile.imwrite(path.with_suffix(".tif"), image, byteorder=">")
            path.unlink()
    builder = small_folder.build(raw, tmp_path / "data")
    image = small_folder.examples(builder)["P1_2"]["image"]
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(
        image[..., 0], small_folder.picture(3, dtype=np.uint16)
    )
    info = data_info.read_info("folder/mine", tmp_path / "data")
    assert info.dtype == "uint16"


def test_a_first_picture_of_nobody_does_not_set_the_type(tmp_path):
    raw = small_folder.write_pairs(tmp_path / "raw")
    pixels = np.full(small_folder.mask(1).shape, 5000, np.uint16)
    small_folder.write(raw / "images" / "A.png", pixels)
    small_folder.write(raw / "masks" / "A.png", small_folder.mask(1))
    builder = small_folder.build(raw, tmp_path / "data", skip_bad_files=True)
    assert data_info.read_info("folder/mine", tmp_path / "data").dtype == "uint8"
    assert small_folder.examples(builder)["P0_2"]["image"].dtype == np.uint8


def test_colours_of_masks_become_numbers(tmp_path):
    raw = small_folder.write_pairs(tmp_path / "raw")
    for path in (raw / "masks").iterdir():
        grey = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        colours = np.zeros((*grey.shape, 3), np.uint8)
        colours[grey > 0] = (0, 0, 255)  # OpenCV writes blue first: red
        colours[-1, :3] = (0, 255, 255)  # yellow
        cv2.imwrite(str(path), colours)
    # Numbered by name: a config forgets the order of its keys.
    classes = {"tumour": (255, 0, 0), "oedema": (255, 255, 0)}
    builder = small_folder.build(raw, tmp_path / "data", classes=classes)
    expected = np.where(small_folder.mask(1) > 0, 2, 0)
    expected[-1, :3] = 1
    found = small_folder.examples(builder)["P0_2"]["mask"]
    np.testing.assert_array_equal(found[..., 0], expected)
    metadata = builder.info.metadata
    assert metadata["classes"] == {"oedema": 1, "tumour": 2}
    assert builder.info.features["label"].names == ["empty", "not empty"]


def test_class_folders_give_labels_and_no_masks(tmp_path):
    raw = small_folder.write_classes(tmp_path / "raw", ("no", "yes"))
    builder = small_folder.build(raw, tmp_path / "data", layout="classes")
    found = small_folder.examples(builder)
    assert "mask" not in found["no/P0_1"]
    assert {key: one["label"] for key, one in found.items()} == {
        key: int(key.startswith("yes")) for key in found
    }
    assert found["yes/P1_2"]["patient"] == b"P1"
    assert builder.info.metadata["slices_by_class"] == {"no": 6, "yes": 6}
    assert builder.info.metadata["classes"] == {}


def test_declared_classes_are_found_at_any_depth_and_others_left_out(tmp_path):
    """As system 004's set: the same names in Training and in Testing."""
    for part in ("Training", "Testing"):
        raw = small_folder.write_classes(tmp_path / "raw" / part, ("b", "a", "c"))
    builder = small_folder.build(
        raw.parent,
        tmp_path / "data",
        layout="classes",
        labels=("c", "b"),
        one_patient_per_file=True,
    )
    assert builder.info.features["label"].names == ["c", "b"]
    metadata = builder.info.metadata
    assert (
        metadata["slices_by_class"] == {"c": 8, "b": 8} and metadata["patients"] == 16
    )
    assert small_folder.examples(builder)["Testing/c/P2_1"]["label"] == 0


def test_system_004s_jpegs_are_read_as_its_experiments_say(tmp_path):
    """Of several sizes, in Training and Testing; one that is grey does not fit them."""
    settings = cnn_folder.get_config("four_classes").data.folder.to_dict()
    parts, names = ("Training", "Testing"), ("image", "image(2)")
    for number, own in enumerate(product(parts, settings["labels"], names)):
        image = small_folder.picture(number, (24 + number, 40 - number), channels=3)
        small_folder.write(tmp_path.joinpath("raw", *own).with_suffix(".jpg"), image)
    small_folder.write(tmp_path / "raw/Testing/no_tumor/grey.jpg", image[..., 0])
    said = r"no_tumor/grey.jpg: has 1 channel, where 3 channels \(red, green, blue\)"
    with pytest.raises(prepare.BadFile, match=said):
        small_folder.build(tmp_path / "raw", tmp_path / "data", **settings)
    builder = small_folder.build(
        tmp_path / "raw", tmp_path / "data", skip_bad_files=True, **settings
    )
    found = small_folder.examples(builder)
    assert len(found) == 16 and len({one["patient"] for one in found.values()}) == 16
    for key, one in found.items():
        # Decoded by another library: colours in order, but for rounding.
        with Image.open(tmp_path / "raw" / f"{key}.jpg") as other:
            np.testing.assert_allclose(one["image"], np.asarray(other), atol=4)
        assert settings["labels"][one["label"]] == key.split("/")[1]


def test_one_patient_per_file_is_said_wherever_scores_are(pairs, tmp_path, capsys):
    small_folder.build(pairs, tmp_path, one_patient_per_file=True)
    assert "ONE PATIENT PER FILE" in capsys.readouterr().out
    info = data_info.read_info("folder/mine", tmp_path)
    assert "ONE PATIENT PER FILE" in info.note("fold_0")
    assert "ONE PATIENT PER FILE" in data_info.from_record(info.to_record()).note("x")


def test_a_pattern_that_makes_every_slice_a_patient_is_said_to(pairs, tmp_path, capsys):
    small_folder.build(pairs, tmp_path, patient="(?P<patient>.*)")
    assert "EACH PATIENT HAS ONE SLICE" in capsys.readouterr().out
    info = data_info.read_info("folder/mine", tmp_path)
    assert "EACH PATIENT HAS ONE SLICE" in info.note("fold_0")


def test_a_few_of_the_patients_are_shown_by_name(pairs, tmp_path, caplog, capsys):
    with caplog.at_level("INFO", logger="absl"):
        small_folder.build(pairs, tmp_path)
    assert "P0_1 -> P0, P0_2 -> P0, P1_1 -> P1." in caplog.text
    said = capsys.readouterr().out
    assert "fold_0: 1 patient, 2 slices" in said and "ONE SLICE" not in said


def test_nnunets_layout_says_channels_and_labels(tmp_path):
    raw = small_folder.write_nnunet(tmp_path / "raw" / "Dataset001")
    builder = small_folder.build(raw.parent, tmp_path / "data", layout="nnunet")
    one = small_folder.examples(builder)["P1_2"]
    np.testing.assert_array_equal(one["image"][..., 0], small_folder.picture(3))
    np.testing.assert_array_equal(one["image"][..., 1], small_folder.picture(103))
    assert np.unique(one["mask"]).tolist() == [0, 1, 2]
    info = data_info.read_info("folder/mine", tmp_path / "data")
    assert info.channels == ("T1", "FLAIR")
    assert info.classes == {"tumour": 1, "oedema": 2}


def test_what_lies_below_nnunets_folders_is_no_part_of_them(tmp_path):
    raw = small_folder.write_nnunet(tmp_path / "raw")
    for path in ("labelsTr/old/P0_2.png", "imagesTr/old/P0_2_0000.png"):
        small_folder.write(raw / path, small_folder.picture(50))
    found = small_folder.examples(
        small_folder.build(raw, tmp_path / "data", layout="nnunet")
    )
    np.testing.assert_array_equal(
        found["P0_2"]["image"][..., 0], small_folder.picture(1)
    )
    assert len(found) == len(small_folder.names())


def test_nnunets_regions_are_painted_in_its_order(tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": 2}
    raw = small_folder.write_nnunet(
        tmp_path / "raw", labels=labels, regions_class_order=[1, 2]
    )
    small_folder.build(raw, tmp_path / "data", layout="nnunet")
    info = data_info.read_info("folder/mine", tmp_path / "data")
    assert info.classes == {"whole": [1, 2], "core": 2}
    assert info.painting == [("whole", 1), ("core", 2)]


@pytest.mark.parametrize(
    ("spelling", "end"),
    [("{}", "\n"), ("{}.png", "\r\n"), ("images/{}.png", "\r")],
)
def test_a_table_says_whose_a_file_is(pairs, tmp_path, spelling, end):
    raw = pathlib.Path(shutil.copytree(pairs, tmp_path / "raw"))
    rows = [f"Anna{n[1]};x,{spelling.format(n)}" for n in small_folder.names()]
    lines = end.join(["\ufeffname, scan", *rows])
    (raw / "who.csv").write_bytes(lines.encode())
    builder = small_folder.build(
        raw, tmp_path / "data", table="who.csv", table_columns=("scan", "name")
    )
    assert small_folder.examples(builder)["P3_2"]["patient"] == b"Anna3;x"


@pytest.mark.parametrize("kind", ["grey", "colour", "jpeg", "channels", "16 bits"])
def test_what_is_stored_is_what_predict_reads(tmp_path, kind):
    """Both decode by themselves: a picture must not look otherwise to a trained model."""
    channels = {"colour": 3, "jpeg": 3, "channels": 2}.get(kind, 1)
    dtype = np.uint16 if kind == "16 bits" else np.uint8
    image = small_folder.picture(1, dtype=dtype, channels=channels)
    ending = {"jpeg": ".jpg", "channels": ".tif"}.get(kind, ".png")
    for name in ("a", "b"):
        small_folder.write(tmp_path / "raw/masks" / f"{name}.png", small_folder.mask(1))
        path = tmp_path / "raw/images" / f"{name}{ending}"
        path.parent.mkdir(exist_ok=True)
        if ending == ".tif":
            tifffile.imwrite(
                path, image, photometric="minisblack", planarconfig="contig"
            )
        else:
            small_folder.write(path, image)
    builder = small_folder.build(
        tmp_path / "raw",
        tmp_path / "data",
        one_patient_per_file=True,
        channels=("grey", *"bc")[:channels],
    )
    stored = small_folder.examples(builder)["a"]["image"]
    read = image_files.read_image(path, channels, np.dtype(dtype).name)
    np.testing.assert_array_equal(stored, read)


def test_bad_files_can_be_skipped_and_are_listed(tmp_path):
    raw = small_folder.write_pairs(tmp_path / "raw")
    (raw / "images" / "P0_1.png").write_text("no picture")
    (raw / "masks" / "P2_1.png").unlink()
    builder = small_folder.build(raw, tmp_path / "data", skip_bad_files=True)
    skipped = [bad["file"] for bad in builder.info.metadata["skipped"]]
    assert skipped == ["images/P2_1.png", "images/P0_1.png"]
    assert builder.info.metadata["slices"] == 10
    assert small_folder.examples(builder)["P0_2"]["slice"] == 1


def test_a_data_set_is_described_before_and_after_it_is_prepared(tmp_path):
    raw = small_folder.write_classes(tmp_path / "raw", ("b", "a"))
    settings = small_folder.settings(layout="classes")
    before = prepare.describe("folder/mine", tmp_path / "data", raw, settings)
    assert tuple(before["labels"]) == ("a", "b")
    small_folder.build(raw, tmp_path / "data", layout="classes")
    after = prepare.describe("folder/mine", tmp_path / "data", "", settings)
    assert data_info.described(**before) == data_info.described(**after)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patient": "(?P<patient>..)"}, r"data.folder.patient='.*there, .*now"),
        ({"classes": {"lesion": 255}}, r"classes={'tumour': 255} there, {'lesion'"),
        ({"one_patient_per_file": True}, "one_patient_per_file=False there, True now"),
    ],
)
def test_a_data_set_prepared_by_other_settings_is_refused(
    pairs, tmp_path, changes, said
):
    folder = small_folder.build(pairs, tmp_path).data_dir
    with pytest.raises(ValueError, match=f"prepared otherwise: .*{said}") as caught:
        small_folder.build(pairs, tmp_path, **changes)
    assert folder in str(caught.value) and "--config.data.name=" in str(caught.value)
    small_folder.build("", tmp_path)  # the same settings; no raw data needed any more


def test_another_raw_dir_is_refused_too(pairs, tmp_path):
    small_folder.build(pairs, tmp_path)
    with pytest.raises(ValueError, match=f"raw_dir={pairs} there, .*else now"):
        small_folder.build(tmp_path / "else", tmp_path)


@pytest.mark.parametrize("name", ["folder", "folder/My Set", "folder/phantom_x"])
def test_a_name_that_cannot_be_says_what_can(tmp_path, name):
    with pytest.raises(ValueError, match="phantom_pairs, .*with a name of yours"):
        small_folder.build("", tmp_path, name=name)


@pytest.mark.skipif(
    not real_samples.SHARED.is_dir(), reason="the real samples are not here"
)
def test_real_slices_in_folders_of_patients_are_kept_bit_for_bit(tmp_path, monkeypatch):
    """The LGG set as anybody might keep it: masks beside images, a folder a patient."""
    real_samples.unpack_lgg(tmp_path / "raw", monkeypatch)
    builder = small_folder.build(
        tmp_path / "raw" / "kaggle_3m",
        tmp_path / "data",
        images="",
        masks="",
        mask_suffix="_mask",
        channels=("pre-contrast", "FLAIR", "post-contrast"),
        patient="^(?P<patient>TCGA[^/]+)/",
    )
    assert builder.info.metadata["patients"] == 2
    for key, one in small_folder.examples(builder).items():
        path = tmp_path / "raw" / "kaggle_3m" / f"{key}.tif"
        np.testing.assert_array_equal(one["image"], tifffile.imread(path))
        mask = tifffile.imread(path.with_name(f"{path.stem}_mask.tif"))
        np.testing.assert_array_equal(one["mask"][..., 0], mask)
        assert one["slice"] == int(key.rpartition("_")[2])
