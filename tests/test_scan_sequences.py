"""Which files are which channels of a scan, and what is done without one."""

import nibabel
import numpy as np
import pytest

from brainseg_jax.data import modalities, normalise, scans
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.runs import seen_scans, volumes
from tests import small_scans
from tests.small_scans import (
    BRATS,
    LGG,
    affine_of,
    brightest,
    noise,
    restored,
    write_case,
)

compiled_once = small_scans.compiled_once


@pytest.mark.parametrize(
    "joint, endings",
    [
        ("_", ("flair", "t1", "t1ce", "t2", "seg")),
        ("-", ("t2f", "t1n", "t1c", "t2w", "seg")),
        ("_", ("0000", "0001", "0002", "0003")),
    ],
)
def test_sequences_are_known_by_their_names(tmp_path, joint, endings):
    for case in ("BraTS-GLI-00000-000", "b_1"):
        for end in endings:
            (tmp_path / f"{case}{joint}{end}.nii.gz").touch()
    cases = modalities.group_cases(modalities.find_volumes([tmp_path]), BRATS)
    assert [case.name for case in cases] == ["BraTS-GLI-00000-000", "b_1"]
    for case in cases:
        assert [f.name for f in case.files] == [
            f"{case.name}{joint}{end}.nii.gz" for end in endings[:4]
        ]


def test_sequences_that_the_model_does_not_take_are_left_out(tmp_path):
    for end in BRATS:
        (tmp_path / f"a_{end}.nii").touch()
    (case,) = modalities.group_cases(modalities.find_volumes([tmp_path]), LGG)
    assert [file.name for file in case.files] == [
        "a_t1.nii",
        "a_flair.nii",
        "a_t1ce.nii",
    ]


@pytest.mark.parametrize("channels", [("t2", "flair"), ("t1",)])
def test_numbers_are_places_in_the_data_set_not_in_what_was_chosen(tmp_path, channels):
    for number in range(4):
        (tmp_path / f"a_{number:04d}.nii.gz").touch()
    found = modalities.find_volumes([tmp_path])
    (case,) = modalities.group_cases(found, channels, BRATS)
    assert [file.name for file in case.files] == [
        f"a_{BRATS.index(channel):04d}.nii.gz" for channel in channels
    ]


def test_a_model_of_chosen_channels_takes_its_own_files(tmp_path):
    parts = {f"000{place}": noise((5, 4, 3), place) for place in range(3)}
    write_case(tmp_path / "in", "a", parts, np.eye(4))
    net = restored(("t2", "t1"), window=(4, 4, 4), stored=("t1", "flair", "t2"))
    found = modalities.find_volumes([tmp_path / "in"])
    (row,) = volumes.predict(net, found, tmp_path / "out", axis="axial")
    assert [name[-8] for name in row["file"].split(";")] == ["2", "0"]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_missing_sequence_is_0_after_normalisation(tmp_path, caplog, dimensions):
    parts = {name: noise((5, 4, 3), seed) for seed, name in enumerate(BRATS)}
    del parts["flair"]
    write_case(tmp_path / "in", "a", parts, np.eye(4))
    found = modalities.find_volumes([tmp_path / "in"])
    net = restored(BRATS, window=(4,) * dimensions, dropout=0.2)
    (row,) = volumes.predict(net, found, tmp_path / "out", axis="axial")
    assert row["missing"] == "flair" and "a has no file for flair" in caplog.text
    mask = np.asanyarray(nibabel.load(tmp_path / "out" / "a_mask.nii.gz").dataobj)
    voxels = [np.zeros((5, 4, 3)), *parts.values()]
    np.testing.assert_array_equal(mask, brightest(voxels))


@pytest.mark.parametrize("options", [{"name": "volume_percentile", "together": True},
                                     {"name": "brain_percentile"},
                                     {"name": "image_standard"}])  # fmt: skip
def test_a_missing_sequence_takes_no_part_in_normalising_others(options):
    image = noise((5, 4, 3, 3), 0)
    image[..., 1] = 0
    found = seen_scans.scaling([image], options, (1,))
    alone = seen_scans.scaling([image[..., [0, 2]]], options, ())
    np.testing.assert_array_equal(found[..., [0, 2]], alone)
    normalised = normalise.apply(image[None], found)
    assert (np.asarray(normalised)[..., 1] == 0).all()


def test_a_case_without_any_sequence_of_the_model_is_refused(tmp_path):
    (tmp_path / "a_t2.nii").touch()
    found = modalities.find_volumes([tmp_path])
    (case,) = modalities.group_cases(found, LGG, may_lack=True)
    assert "no file for pre-contrast" in case.fault
    (case,) = modalities.group_cases(found, ("t1", "t2"))
    assert "channel_dropout could do without" in case.fault
    with pytest.raises(
        UnreadableImage, match="a has no file for t1; there are: a_t2.nii"
    ):
        scans.read(case, ("t1", "t2"))


def test_a_numbered_file_of_several_channels_is_a_case(tmp_path):
    for number in (0, 1):
        image = nibabel.Nifti1Image(noise((5, 4, 3, 2), 0), np.eye(4))
        image.to_filename(tmp_path / f"scan_000{number}.nii.gz")
    found = modalities.find_volumes([tmp_path])
    cases = modalities.group_cases(found, ("flair", "t1"))
    assert [case.name for case in cases] == ["scan_0000", "scan_0001"]


def test_sequences_by_other_names_and_a_fourth_axis_of_one(tmp_path):
    for end in ("t1", "T2w", "brainmask"):
        image = nibabel.Nifti1Image(noise((5, 4, 3, 1), 0), np.eye(4))
        image.to_filename(tmp_path / f"a_{end}.nii.gz")
    found = modalities.find_volumes([tmp_path])
    (case,) = modalities.group_cases(found, ("T1w", "T2w"))
    assert [file.name for file in case.files] == ["a_t1.nii.gz", "a_T2w.nii.gz"]
    scan = scans.read(case, ("T1w", "T2w"))
    assert scan.image.shape == (3, 4, 5, 2) and scan.shape == (5, 4, 3)


def test_one_file_may_hold_all_channels(tmp_path):
    shape = (5, 4, 3)
    voxels = np.stack([noise(shape, seed) for seed in range(3)], -1)
    affine = affine_of("PIR", (1, 2, 3), shape)
    nibabel.Nifti1Image(voxels, affine).to_filename(tmp_path / "scan.nii.gz")
    found = modalities.find_volumes([tmp_path / "scan.nii.gz"])
    net = restored(("t1", "t1ce", "flair"), window=(4, 4, 4))
    volumes.predict(net, found, tmp_path / "out", axis="axial")
    mask = nibabel.load(tmp_path / "out" / "scan_mask.nii.gz")
    np.testing.assert_array_equal(mask.affine, affine.astype(np.float32))
    np.testing.assert_array_equal(
        np.asanyarray(mask.dataobj), brightest(list(np.moveaxis(voxels, -1, 0)))
    )
