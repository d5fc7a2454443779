"""The LGG builder: every way of passing the raw files, every fault, nothing lost."""

import pathlib
import shutil
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds
import tifffile

from datasets import folds, leaky, prepare, raw
from datasets.lgg_mri import raw_files
from datasets.synthetic import phantom
from tests import real_samples

FIRST = "TCGA_DU_PHANTOM0001_20000101"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return phantom.write_lgg(tmp_path_factory.mktemp("raw"), patients=6, slices=4)


@pytest.fixture
def tree(original, tmp_path):
    """A copy to damage."""
    return pathlib.Path(shutil.copytree(original, tmp_path / "kaggle_3m"))


def build(raw_dir, data_dir, **options):
    folder = prepare.prepare("lgg_mri/phantom", data_dir, raw_dir, **options)
    return tfds.builder_from_directory(folder)


@pytest.fixture(scope="module")
def built(original, tmp_path_factory):
    return build(original, tmp_path_factory.mktemp("data"))


def examples(builder):
    splits = {name: builder.as_data_source(name) for name in builder.info.splits}
    return {name: list(source) for name, source in splits.items()}


def test_stored_pixels_equal_raw_pixels(built, original):
    stored = [example for part in examples(built).values() for example in part]
    assert len(stored) == 24
    for example in stored:
        file = original / example["patient"].decode() / example["key"].decode()
        image = tifffile.imread(f"{file}.tif")
        mask = tifffile.imread(f"{file}_mask.tif")
        np.testing.assert_array_equal(example["image"], image)
        np.testing.assert_array_equal(example["mask"][..., 0], mask)
        assert example["has_tumour"] == mask.any()
        assert file.name == f"{example['patient'].decode()}_{example['slice']}"
        assert example["institution"].decode() == file.name.split("_")[1]


def test_patients_never_straddle_a_split(built):
    seen: dict[bytes, str] = {}
    for name, part in examples(built).items():
        for example in part:
            assert seen.setdefault(example["patient"], name) == name
    table = built.info.metadata["folds"]
    assert {k.decode(): v for k, v in seen.items()} == {
        patient: f"fold_{fold}" for patient, fold in table.items()
    }


def test_folds_come_from_institution_and_mask_pixels(built, original):
    patients = {
        folder.name: folds.Patient(
            folder.name.split("_")[1],
            sum(
                np.count_nonzero(tifffile.imread(f)) for f in folder.glob("*_mask.tif")
            ),
        )
        for folder in original.glob("TCGA_*")
    }
    assert built.info.metadata["folds"] == folds.assign_folds(patients)


def test_slices_are_stored_in_order_of_patient_and_number(built):
    for part in examples(built).values():
        places = [(example["patient"], example["slice"]) for example in part]
        assert places == sorted(places)


def test_metadata_says_what_a_reader_needs(built, original):
    metadata = built.info.metadata
    assert metadata["classes"] == {"tumour": 255}
    assert metadata["channels"] == ["pre-contrast", "FLAIR", "post-contrast"]
    assert metadata["task"] == "segmentation" and metadata["synthetic"] is True
    assert metadata["patients"] == 6 and metadata["slices"] == 24
    assert "seed 0" in metadata["fold_rule"] and metadata["skipped"] == []
    text = (pathlib.Path(built.data_dir) / "metadata.json").read_text()
    assert str(original.parents[1]) not in text


def test_leaky_splits_have_the_published_sizes():
    keys = [f"key_{number}" for number in range(3929)]
    parts = leaky.leaky_splits(keys)
    sizes = {name: len(part) for name, part in parts.items()}
    assert sizes == {"leaky_train": 3536, "leaky_validation": 197, "leaky_test": 196}
    assert sorted(sum(parts.values(), [])) == sorted(keys)
    assert parts == leaky.leaky_splits(keys) != leaky.leaky_splits(keys, seed=1)


def test_leaky_splits_of_a_build_hold_each_slice_once(built):
    stored = [e["key"].decode() for part in examples(built).values() for e in part]
    assert sorted(sum(built.info.metadata["leaky"].values(), [])) == sorted(stored)


def test_the_parent_folder_will_do(original, built, tmp_path):
    assert contents(build(original.parent, tmp_path)) == contents(built)


def contents(builder):
    return {
        name: [(e["key"], e["image"].tobytes(), e["mask"].tobytes()) for e in part]
        for name, part in examples(builder).items()
    }


def test_the_zip_with_the_tree_in_it_twice(original, built, tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for file in original.rglob("*.tif"):
            name = file.relative_to(original.parent).as_posix()
            archive.write(file, name)
            archive.write(file, f"lgg-mri-segmentation/{name}")
        archive.writestr("kaggle_3m/data.csv", "Patient\n")
    assert contents(build(tmp_path / "archive.zip", tmp_path)) == contents(built)


def truncate(tree):
    file = tree / FIRST / f"{FIRST}_2.tif"
    file.write_bytes(file.read_bytes()[:5000])


def empty_mask_file(tree):
    (tree / FIRST / f"{FIRST}_2_mask.tif").write_bytes(b"")


def lose_mask(tree):
    (tree / FIRST / f"{FIRST}_2_mask.tif").unlink()


def lose_image(tree):
    (tree / FIRST / f"{FIRST}_2.tif").unlink()


def crop(tree):
    file = tree / FIRST / f"{FIRST}_2.tif"
    tifffile.imwrite(file, tifffile.imread(file)[:200], photometric="rgb")


def widen(tree):
    file = tree / FIRST / f"{FIRST}_2.tif"
    pixels = tifffile.imread(file).astype(np.uint16)
    tifffile.imwrite(file, pixels, photometric="rgb")


def grey_mask(tree):
    file = tree / FIRST / f"{FIRST}_2_mask.tif"
    tifffile.imwrite(file, np.full((256, 256), 128, np.uint8))


FAULTS = [
    (truncate, "_2.tif", "cannot be read as TIFF"),
    (empty_mask_file, "_2_mask.tif", "cannot be read as TIFF"),
    (lose_mask, "_2.tif", "has no mask"),
    (lose_image, "_2_mask.tif", "mask without an image"),
    (crop, "_2.tif", r"shape \(200, 256, 3\)"),
    (widen, "_2.tif", "is uint16"),
    (grey_mask, "_2_mask.tif", "values other than 0 and 255: 128"),
]


@pytest.mark.parametrize(("fault", "file", "reason"), FAULTS)
def test_a_bad_file_is_named_with_the_fault_and_the_remedy(
    tree, tmp_path, fault, file, reason
):
    fault(tree)
    with pytest.raises(raw.BadFile, match=reason) as caught:
        build(tree, tmp_path / "data")
    assert f"{FIRST}/{FIRST}{file}: " in str(caught.value)
    assert "--config.data.skip_bad_files=True" in str(caught.value)
    assert not list((tmp_path / "data").rglob("*.array_record*"))


@pytest.mark.parametrize(("fault", "file", "reason"), FAULTS)
def test_a_bad_slice_can_be_skipped_and_is_listed(tree, tmp_path, fault, file, reason):
    fault(tree)
    metadata = build(tree, tmp_path / "data", skip_bad_files=True).info.metadata
    assert [bad["file"] for bad in metadata["skipped"]] == [f"{FIRST}/{FIRST}{file}"]
    assert metadata["slices"] == 23
    assert f"{FIRST}_2" not in sum(metadata["leaky"].values(), [])


def test_a_second_file_for_the_same_slice_is_a_fault(tree, tmp_path):
    shutil.copy(tree / FIRST / f"{FIRST}_2.tif", tree / FIRST / f"{FIRST}_02.tif")
    with pytest.raises(raw.BadFile, match=r"is a duplicate of .*_02\.tif"):
        build(tree, tmp_path)
    metadata = build(tree, tmp_path, skip_bad_files=True).info.metadata
    assert metadata["slices"] == 24 and len(metadata["skipped"]) == 1


def test_a_file_in_the_wrong_patients_folder_is_a_fault(tree, tmp_path):
    shutil.copy(tree / FIRST / f"{FIRST}_2.tif", tree / FIRST / "TCGA_HT_1_2_3.tif")
    with pytest.raises(raw.BadFile, match="TCGA_HT_1_2_3.tif: is not called"):
        build(tree, tmp_path)


def test_all_bad_files_are_counted_and_ten_are_named(tree, tmp_path):
    for file in sorted(tree.rglob("*_mask.tif"))[:13]:
        file.unlink()
    with pytest.raises(
        raw.BadFile, match=r"13 raw files(.*\n)+.* and 3 more:\n    3 x has no mask"
    ) as caught:
        build(tree, tmp_path)
    assert str(caught.value).count(".tif: has no mask") == 10


def test_two_different_trees_are_not_mixed(tree, tmp_path):
    other = tmp_path / "other" / "kaggle_3m" / "TCGA_HT_PHANTOM0099_20000101"
    other.mkdir(parents=True)
    (other / f"{other.name}_1.tif").write_bytes(b"")
    tree.rename(tmp_path / "trees")
    shutil.move(tmp_path / "other", tmp_path / "trees" / "other")
    with pytest.raises(raw.BadFile, match="other/kaggle_3m/ holds files"):
        build(tmp_path / "trees", tmp_path / "data")


def test_synthetic_slices_are_refused_as_real_ones(original, tmp_path):
    with pytest.raises(raw.BadFile, match="is synthetic, so it is not for"):
        prepare.prepare("lgg_mri/kaggle", tmp_path, original)


def test_a_download_cut_short_is_said_to_be_one(tmp_path):
    (tmp_path / "archive.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(raw.BadFile, match="cut short"):
        build(tmp_path / "archive.zip", tmp_path)


@pytest.mark.skipif(
    not real_samples.SHARED.is_dir(), reason="the real samples are not here"
)
def test_real_slices_are_read_and_kept_bit_for_bit(tmp_path, monkeypatch):
    real_samples.unpack_lgg(tmp_path, monkeypatch)
    folder = prepare.prepare("lgg_mri/kaggle", tmp_path / "data", tmp_path)
    builder = tfds.builder_from_directory(folder)
    metadata = builder.info.metadata
    assert metadata["synthetic"] is False and metadata["patients"] == 2
    for part in examples(builder).values():
        for example in part:
            key = example["key"].decode()
            image = tmp_path / raw_files.TREE / example["patient"].decode() / key
            expected = tifffile.imread(f"{image}.tif")
            np.testing.assert_array_equal(example["image"], expected)
