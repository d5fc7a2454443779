"""The BraTS builder: every voxel and affine kept, folds of patients, read for training."""

import tarfile

import nibabel
import numpy as np
import pytest

from brainseg_jax.data import index as data_index
from brainseg_jax.data import info, sources
from datasets import grids, prepare
from datasets.brats2021 import brats2021_dataset_builder, raw_files, releases
from datasets.synthetic import phantom
from tests import real_samples, small_cases

CHANNELS = ("flair", "t1", "t1ce", "t2")
NORMALISATION = {"name": "volume_percentile"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Six small cases, prepared: the raw tree and where prepared data lies."""
    folder = tmp_path_factory.mktemp("brats")
    tree = small_cases.write_tree(folder / "raw" / "BraTS2021_Training_Data")
    small_cases.build(tree, folder / "data")
    return tree, folder / "data"


def place_of(example):
    return grids.Place(
        example["offset"],
        example["full_shape"],
        example["axes"].decode(),
        example["affine"],
    )


def assert_is_as_published(example, folder):
    """Every voxel of every file, and its affine, out of what is stored."""
    parts = {name: example["image"][..., k] for k, name in enumerate(CHANNELS)}
    parts["seg"] = example["mask"][..., 0]
    place = place_of(example)
    for part, stored in parts.items():
        image = nibabel.load(folder / f"{folder.name}_{part}.nii.gz")
        voxels = np.asanyarray(image.dataobj)
        np.testing.assert_array_equal(grids.to_file(stored, place), voxels)
        np.testing.assert_allclose(grids.file_affine(place), image.affine, atol=1e-12)
        canonical = nibabel.as_closest_canonical(image)
        np.testing.assert_array_equal(example["affine"], canonical.affine)


def test_every_voxel_and_affine_of_files_in_different_orientations(built):
    tree, data_dir = built
    stored = small_cases.examples(small_cases.build("", data_dir))
    assert len({one["axes"] for one in stored.values()}) == len(stored) == 6
    for key, example in stored.items():
        assert_is_as_published(example, tree / key)


def test_a_case_by_hand(built):
    _, data_dir = built
    example = small_cases.examples(small_cases.build("", data_dir))[
        small_cases.name_of(1)
    ]
    # Of 9x8x7 voxels from left, behind and below, noise fills 2..7, 1..5 and 1..5.
    assert example["image"].shape == (5, 5, 6, 4) and example["image"].dtype == np.int16
    assert example["mask"].shape == (5, 5, 6, 1) and example["mask"].dtype == np.uint8
    assert example["offset"].tolist() == [1, 1, 2]
    assert example["full_shape"].tolist() == [7, 8, 9]
    assert example["spacing"].tolist() == [2.5, 1.5, 1.0]
    assert example["affine"][:3, 3].tolist() == [-10.0, 20.0, 5.5]
    assert (example["mask"] == 4).sum() == 1 and example["mask"][2, 2, 2] == 4


@pytest.mark.parametrize("axes", small_cases.AXES)
def test_a_case_is_the_same_in_all_48_orientations(tmp_path, axes):
    folder = small_cases.write_case(tmp_path, 1, axes)
    files = raw_files.open_brats(tmp_path)
    found = releases.find_cases(files.names)
    content = raw_files.read_case(files, found.cases[0], found.release, None)
    parts = small_cases.parts_of(1)
    for place, name in enumerate(CHANNELS):
        stored = parts[name].transpose(2, 1, 0)[1:6, 1:6, 2:8]
        np.testing.assert_array_equal(content.image[..., place], stored)
    published = nibabel.load(folder / f"{folder.name}_t2.nii.gz")
    np.testing.assert_array_equal(
        grids.to_file(content.image[..., 3], content.place),
        np.asanyarray(published.dataobj),
    )


def test_folds_are_of_patients_balanced_by_enhancement(built):
    builder = small_cases.build("", built[1])
    metadata = builder.info.metadata
    assert metadata["patients"] == metadata["volumes"] == 6
    assert (metadata["tumour_volumes"], metadata["enhancing_volumes"]) == (6, 4)
    assert metadata["folds"].keys() == {small_cases.name_of(n) for n in range(1, 7)}
    for fold, source in enumerate(
        builder.as_data_source(f"fold_{k}") for k in range(5)
    ):
        for one in source:
            assert metadata["folds"][one["patient"].decode()] == fold


def test_training_reads_it_with_regions_and_patches(built):
    _, data_dir = built
    told = info.read_info("brats2021/phantom", data_dir)
    assert told.channels == CHANNELS and told.dimensions == 3 and told.dtype == "int16"
    assert told.classes == {"WT": [1, 2, 4], "TC": [1, 4], "ET": 4}
    assert told.painting == [("WT", 2), ("TC", 1), ("ET", 4)]
    source = sources.open_split(
        "brats2021/phantom",
        "fold_0+fold_1",
        data_dir,
        size=(8, 8, 8),
        normalisation=NORMALISATION,
        only_tumour=False,
        cutting={"size": (4, 4, 4), "foreground_share": 1.0, "fill": "edge"},
    )
    corners = source.patches.corners(np.array([0, 1]), seed=0, step=0)
    batch = source.take_patches(np.array([0, 1]), corners)
    assert batch["image"].shape == (2, 4, 4, 4, 4)
    assert (batch["share"].max((1, 2, 3))[:, 0] == 255).all()  # of 255


def test_before_and_after_preparing_the_same_is_told(built):
    before = info.described(**prepare.describe("brats2021/phantom"))
    after = info.read_info("brats2021/phantom", built[1])
    for name in ("classes", "painting", "labels", "channels", "dimensions", "dtype"):
        assert getattr(before, name) == getattr(after, name)


def test_the_index_has_the_brains_statistics_and_the_grid(built):
    tree, data_dir = built
    builder = small_cases.build("", data_dir)
    index = data_index.read_index(builder.data_dir)
    row = index.keys.index(small_cases.name_of(2))
    tallies = index.statistics.tallies[index.statistics.volume[row]]
    parts = small_cases.parts_of(2)
    for name, tally in zip(CHANNELS, tallies, strict=True):
        brain = parts[name][parts[name] > 0]
        there = tally.values != 0
        values = np.repeat(tally.values[there], tally.counts[there])
        np.testing.assert_array_equal(values, np.sort(brain))
    key = index.volumes[row]
    assert index.spacings[key].tolist() == [2.5, 1.5, 1.0]
    assert index.affines[key][:3, 3].tolist() == [-10.0, 20.0, 5.5]
    assert {*index.place_labels[row].tolist()} == {1, 2, 4}


def test_the_tar_is_read_in_place(built, tmp_path):
    tree, data_dir = built
    path = tmp_path / "BraTS2021_Training_Data.tar"
    with tarfile.open(path, "w") as archive:
        archive.add(tree, ".")
    packed = small_cases.examples(small_cases.build(path, tmp_path / "data"))
    unpacked = small_cases.examples(small_cases.build("", data_dir))
    assert packed.keys() == unpacked.keys()
    for key, example in packed.items():
        for name, value in example.items():
            np.testing.assert_array_equal(value, unpacked[key][name])


def test_examples_are_in_order_over_several_files(built, tmp_path, monkeypatch):
    tree, data_dir = built
    monkeypatch.setattr(brats2021_dataset_builder, "PER_FILE", 1)
    builder = small_cases.build(tree, tmp_path)
    assert max(split.num_shards for split in builder.info.splits.values()) == 2
    index = data_index.read_index(builder.data_dir)
    for key, split, record in zip(index.keys, index.splits, index.records, strict=True):
        assert builder.as_data_source(split)[record]["key"].decode() == key
    for key, example in small_cases.examples(builder).items():
        assert_is_as_published(example, tree / key)


def test_the_numbering_of_2023_is_known(tmp_path):
    new = {"flair": "t2f", "t1": "t1n", "t1ce": "t1c", "t2": "t2w", "seg": "seg"}
    for number in (1, 2):  # two examinations of one patient
        old = small_cases.write_case(tmp_path / "old", number)
        key = f"BraTS-GLI-PHANTOM00007-00{number}"
        for part, ending in new.items():
            image = nibabel.load(old / f"{old.name}_{part}.nii.gz")
            voxels = np.asanyarray(image.dataobj)
            if part == "seg":
                voxels = np.where(voxels == 4, 3, voxels).astype(np.uint8)
            (tmp_path / "raw" / key).mkdir(parents=True, exist_ok=True)
            nibabel.Nifti1Image(voxels, image.affine).to_filename(
                tmp_path / "raw" / key / f"{key}-{ending}.nii.gz"
            )
    builder = small_cases.build(tmp_path / "raw", tmp_path / "data")
    metadata = builder.info.metadata
    assert metadata["release"] == "BraTS 2023" and metadata["volumes"] == 2
    assert [*metadata["folds"]] == ["BraTS-GLI-PHANTOM00007"]
    told = info.read_info("brats2021/phantom", tmp_path / "data")
    assert told.classes == {"WT": [1, 2, 3], "TC": [1, 3], "ET": 3}
    assert told.painting == [("WT", 2), ("TC", 1), ("ET", 3)]


def test_phantoms_are_as_brats_publishes_them(tmp_path):
    tree = phantom.write_brats2021(tmp_path / "raw", patients=5, step=6.0)
    builder = small_cases.build(tree.parent, tmp_path / "data")
    for key, example in small_cases.examples(builder).items():
        assert_is_as_published(example, tree / key)
        assert example["axes"] == b"LPS"
        assert example["full_shape"].tolist() == [26, 40, 40]
        enhances = key != "BraTS2021_PHANTOM0005"
        assert (4 in example["mask"]) == enhances and 2 in example["mask"]
        tumour = example["mask"][..., 0] > 0
        assert (example["image"][tumour] > 0).all()
        assert example["image"].min() == 0 and example["image"].max() > 200


@pytest.mark.skipif(not real_samples.SHARED.exists(), reason="no real samples here")
def test_every_voxel_of_the_real_cases(tmp_path):
    path = real_samples.SHARED / "brats2021_3_cases.tar"
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "raw", filter="data")
    builder = small_cases.build(path, tmp_path / "data", "kaggle")
    stored = small_cases.examples(builder)
    assert len(stored) == 3
    for key, example in stored.items():
        assert_is_as_published(example, tmp_path / "raw" / key)
    assert builder.info.metadata["enhancing_volumes"] == 2
