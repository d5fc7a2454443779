"""NIfTI volumes of one's own: every voxel, spacing and affine kept; faults are named."""

import json

import nibabel
import numpy as np
import pytest

from brainseg_jax.data import index as data_index
from brainseg_jax.data import info
from datasets import grids, prepare, raw
from tests import small_cases, small_folder

PATTERN = "(?P<patient>[^/_]+)"
CASES = ("A_1", "A_2", "B_1", "C_1")
AXES = dict(zip(CASES, ("RAS", "LPS", "SAL", "PIR"), strict=True))


def volumes_of(case, dtype=np.int16):
    """Two channels and a mask, as nibabel images."""
    parts = small_cases.parts_of(CASES.index(case) + 1)
    images = [parts[name].astype(dtype) for name in ("t1", "flair")]
    if np.issubdtype(dtype, np.floating):
        images[1] = images[1] / 7
    arrays = (*images, parts["seg"])
    return [small_cases.oriented(array, AXES[case]) for array in arrays]


def write_nnunet(folder, dtype=np.int16):
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for case in CASES:
        one, other, mask = volumes_of(case, dtype)
        one.to_filename(folder / "imagesTr" / f"{case}_0000.nii.gz")
        other.to_filename(folder / "imagesTr" / f"{case}_0001.nii.gz")
        mask.to_filename(folder / "labelsTr" / f"{case}.nii.gz")
    said = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "whole": [1, 2, 4], "core": [1, 4], "rim": 4},
        "regions_class_order": [2, 1, 4],
        "numTraining": len(CASES),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(said))
    return folder


def write_pairs(folder):
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for case in CASES:
        image, _, mask = volumes_of(case)
        image.to_filename(folder / "images" / f"{case}.nii")
        mask.to_filename(folder / "masks" / f"{case}_seg.nii.gz")
    return folder


def build(tree, data_dir, **changes):
    return small_folder.build(
        tree, data_dir, **{"layout": "nnunet", "patient": PATTERN, **changes}
    )


def in_file_order(example, array):
    place = grids.Place(
        example["offset"],
        example["full_shape"],
        example["axes"].decode(),
        example["affine"],
    )
    np.testing.assert_array_equal(example["spacing"], place.spacing)
    return grids.to_file(array, place), grids.file_affine(place)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_every_voxel_of_nnunets_volumes(tmp_path, dtype):
    builder = build(write_nnunet(tmp_path / "raw", dtype), tmp_path / "data")
    stored = small_folder.examples(builder)
    assert stored.keys() == {*CASES}
    for case, example in stored.items():
        assert example["image"].dtype == dtype
        channels = [*np.moveaxis(example["image"], -1, 0), example["mask"][..., 0]]
        for array, image in zip(channels, volumes_of(case, dtype), strict=True):
            voxels, affine = in_file_order(example, array)
            np.testing.assert_array_equal(
                voxels, np.asanyarray(image.dataobj).astype(voxels.dtype)
            )
            np.testing.assert_allclose(affine, image.affine, atol=1e-12)
        assert example["image"].shape == (5, 5, 6, 2)  # of 7x8x9: cropped


def test_pairs_of_volumes_and_what_is_told_of_them(tmp_path):
    changes = {
        "layout": "pairs",
        "mask_suffix": "_seg",
        "channels": ("T1",),
        "classes": {"dead": 1, "oedema": 2, "rim": 4},
    }
    tree = write_pairs(tmp_path / "raw")
    settings = small_folder.settings(patient=PATTERN, **changes)
    before = prepare.describe("folder/mine", tmp_path / "data", tree, settings)
    builder = build(tree, tmp_path / "data", **changes)
    told = info.read_info("folder/mine", tmp_path / "data")
    assert told.dimensions == before["dimensions"] == 3 and told.dtype == "int16"
    metadata = builder.info.metadata
    assert (metadata["patients"], metadata["volumes"]) == (3, 4)
    assert metadata["tumour_volumes"] == 4 and len(builder.info.splits) == 3
    index = data_index.read_index(builder.data_dir)
    assert sorted(index.spacings) == [*CASES]  # each normalised by itself
    assert index.spacings["A_2"].tolist() == [2.5, 1.5, 1.0]


def nan(tree):
    path = tree / "imagesTr" / "B_1_0000.nii.gz"
    voxels = np.asanyarray(nibabel.load(path).dataobj).astype("f4")
    voxels[0, 0, 0] = np.nan
    nibabel.Nifti1Image(voxels, nibabel.load(path).affine).to_filename(path)


def other_grid(tree):
    image = volumes_of("B_1")[1]
    moved = image.affine.copy()
    moved[2, 3] += 1
    nibabel.Nifti1Image(image.dataobj, moved).to_filename(
        tree / "imagesTr" / "B_1_0001.nii.gz"
    )


def other_label(tree):
    mask = volumes_of("B_1")[2]
    changed = np.where(np.asanyarray(mask.dataobj) == 4, 9, 0).astype(np.uint8)
    nibabel.Nifti1Image(changed, mask.affine).to_filename(
        tree / "labelsTr" / "B_1.nii.gz"
    )


def cut_short(tree):
    path = tree / "imagesTr" / "B_1_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:-9])


FAULTS = {
    "cut short": (cut_short, "imagesTr/B_1_0000.nii.gz: is cut short"),
    "other grid": (
        other_grid,
        "B_1_0001.nii.gz: lies up to 1 mm from where imagesTr/B_1",
    ),
    "other label": (
        other_label,
        "B_1.nii.gz: has the labels 9, and masks have 0, 1, 2, 4 alone, by the classes",
    ),
    "NaN": (nan, r"B_1_0000.nii.gz: has voxels that are no numbers \(NaN"),
}


@pytest.mark.parametrize("fault, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_or_skipped(tmp_path, fault, said):
    tree = write_nnunet(tmp_path / "raw")
    fault(tree)
    with pytest.raises(raw.BadFile, match=said):
        build(tree, tmp_path / "data")
    assert small_folder.nothing_is_left(tmp_path / "data")
    builder = build(tree, tmp_path / "data", skip_bad_files=True)
    assert builder.info.metadata["volumes"] == 3
    assert len(builder.info.metadata["skipped"]) == 1


def test_pictures_and_volumes_are_not_mixed(tmp_path):
    tree = write_pairs(tmp_path / "raw")
    small_folder.write(tree / "images" / "D_1.png", small_folder.picture(1))
    small_folder.write(tree / "masks" / "D_1_seg.png", small_folder.mask(1))
    with pytest.raises(raw.BadFile, match="is a volume and images/D_1.png a picture"):
        build(tree, tmp_path / "data", layout="pairs", mask_suffix="_seg")
