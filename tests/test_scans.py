"""NIfTI scans of any orientation, size and spacing, and masks back on their own grid."""

import csv
import dataclasses
import functools
import gzip
import itertools
import pathlib
import re

import nibabel
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel import orientations

from brainseg_jax.data import info as data_info
from brainseg_jax.data import modalities, normalise, scans
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.data.modalities import Case
from brainseg_jax.inference import key_images
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.modes import predict
from brainseg_jax.runs import (
    experiment,
    scan_labels,
    scan_outputs,
    scorable,
    seen_scans,
    volumes,
)
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Record, Restored
from brainseg_jax.training import objective
from configs import base

AXES = [
    "".join(signs[axis] for axis in order)
    for order in itertools.permutations(range(3))
    for signs in itertools.product("LR", "PA", "IS")
]
BRATS = ("flair", "t1", "t1ce", "t2")
LGG = ("pre-contrast", "FLAIR", "post-contrast")


class Identity(nn.Module):
    """Logits that are the image."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        return image


@pytest.fixture(autouse=True, scope="module")
def compiled_once():
    """Labels by one compiled function for each net below."""
    make_label, kept = scan_labels.make_label, {}

    def once(net, rules):
        key = id(net), rules
        if key not in kept:
            kept[key] = make_label(net, rules)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_labels, "make_label", once)
        yield


@functools.cache
def restored(channels, *, window, spacing=(), stored=(), dropout=0.0):
    """A net that marks each voxel by its brightest channel, 1, 2, ..., or by 0."""
    config = base.get_config()
    config.data.normalisation.name = "unit"
    config.evaluation.window = window
    config.augment.channel_dropout = dropout
    info = data_info.described(
        "a/b",
        channels=channels,
        classes={name: place + 1 for place, name in enumerate(channels)},
        labels=["none"],
        dimensions=len(window),
        spacing=spacing,
        dtype="int16",
        stored_channels=stored,
    )
    task = experiment.task_of(config, info)
    loss = objective.make_loss({"dice": {"weight": 1.0}}, task)
    parts = experiment.Parts(task, Identity(), loss, (1, *window, len(channels)))
    about = About(config.to_dict(), info.to_record(), "", (), (), 0, 0, {})
    return Restored(Record(about, None, 0), parts, {})


def affine_of(axes, spacing, shape, angle=0.0):
    """Of a file whose axes point so; `angle` radians oblique around the last axis."""
    straight = np.diag([*spacing, 1.0])
    straight[:3, 3] = (-10.0, 20.0, 5.5)
    oblique = np.eye(4)
    oblique[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    own = orientations.axcodes2ornt(axes)
    turn = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), own)
    whole = np.array(shape)[np.argsort(own[:, 0])]
    return oblique @ straight @ orientations.inv_ornt_aff(turn, whole)


def noise(shape, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 2000, shape) * rng.integers(0, 2, shape)
    return values.astype(np.int16)


def write_case(folder, name, parts, affine, joint="_"):
    """Files of one case from voxels by their endings."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, voxels in parts.items():
        image = nibabel.Nifti1Image(voxels.astype(np.int16), affine)
        image.header.set_xyzt_units("mm", "sec")
        image.to_filename(folder / f"{name}{joint}{part}.nii.gz")
    return folder


def brightest(parts):
    """Labels by the share of each channel's largest value, the first of equal ones."""
    shares = np.stack(
        [p.astype(np.float32) / np.float32(max(p.max(), 1)) for p in parts]
    )
    labels = shares.argmax(0) + 1
    return np.where(shares.max(0) > 0, labels, 0)


@pytest.mark.parametrize("axes", AXES)
def test_every_orientation_is_read_as_nibabels_canonical_one_and_comes_back(
    axes, tmp_path
):
    shape = (5, 4, 3)
    voxels = np.arange(60, dtype=np.int16).reshape(shape)
    image = nibabel.Nifti1Image(voxels, affine_of(axes, (1.0, 1.5, 2.5), shape, 0.3))
    assert "".join(nibabel.aff2axcodes(image.affine)) == axes
    image.to_filename(tmp_path / "a.nii")
    scan = scans.read(Case("a", (tmp_path / "a.nii",)), ["t1"])
    canonical = nibabel.as_closest_canonical(image)
    expected = np.asanyarray(canonical.dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(scan.image[..., 0], expected)
    sizes = nibabel.affines.voxel_sizes(canonical.affine)[::-1]
    np.testing.assert_allclose(scan.spacing, sizes, rtol=1e-5)
    np.testing.assert_array_equal(scans.to_file_order(scan.image[..., 0], scan), voxels)


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(*[st.integers(1, 11)] * 3),
    st.tuples(*[st.sampled_from([0.7, 1.0, 2.5, 6.0])] * 3),
    st.sampled_from(AXES),
)
def test_a_mask_is_written_on_the_scans_own_grid(
    tmp_path_factory, shape, spacing, axes
):
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    affine = affine_of(axes, spacing, shape, 0.2)
    parts = {name: noise(shape, seed) + (seed == 0) for seed, name in enumerate(BRATS)}
    write_case(folder, "a", parts, affine)
    found = modalities.find_volumes([folder])
    (row,) = volumes.predict(
        restored(BRATS, window=(4, 4, 4)), found, out, axis="axial"
    )
    mask = nibabel.load(out / "a_mask.nii.gz")
    first = nibabel.load(folder / "a_flair.nii.gz")
    expected = brightest(list(parts.values()))
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), expected)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.affine, first.affine)
    for field in ("sform_code", "qform_code", "xyzt_units", "pixdim"):
        np.testing.assert_array_equal(mask.header[field], first.header[field])
    voxel = np.prod(spacing) / 1000
    assert row["voxels"] == (expected > 0).sum()
    assert row["ml_label_2"] == pytest.approx((expected == 2).sum() * voxel, abs=1e-3)


def test_only_labels_that_masks_have_get_a_column():
    labels = np.array([[[0, 1, 1]]], np.uint8)
    known = data_info.described(
        "a/b",
        channels=["t1"],
        classes={"tumour": [1, 2, 3]},  # trained on all, painted as one
        labels=["tumour"],
        painting=[("tumour", 1)],
    ).names_of_labels
    row = volumes.sizes(labels, (1.0, 10.0, 100.0), known)
    assert row == {"voxels": 2, "ml": 2.0, "ml_label_1": 2.0}


@settings(max_examples=8, deadline=None)
@given(
    st.tuples(*[st.sampled_from([0.5, 1.3, 2.0])] * 3),
    st.sampled_from(AXES),
)
def test_a_scan_of_another_spacing_is_resampled_and_back(
    tmp_path_factory, spacing, axes
):
    folder, out = tmp_path_factory.mktemp("in"), tmp_path_factory.mktemp("out")
    shape = (25, 22, 23)
    affine = affine_of(axes, spacing, shape)
    x, y, z = (np.arange(n).reshape([-1 if k == a else 1 for k in range(3)])
               for a, n in enumerate(shape))  # fmt: skip
    ball = (x - 14) ** 2 + (y - 9) ** 2 + (z - 11) ** 2 < 49
    parts = {"flair": np.where(ball, 900, 0), "t1": np.where(ball, 0, 500)}
    write_case(folder, "a", parts, affine)
    net = restored(("flair", "t1"), window=(8, 8, 8), spacing=(1.0, 1.0, 1.0))
    volumes.predict(net, modalities.find_volumes([folder]), out, axis="axial")
    mask = nibabel.load(out / "a_mask.nii.gz")
    np.testing.assert_array_equal(mask.affine, affine.astype(np.float32))
    found = np.asanyarray(mask.dataobj) == 1
    # The middle of the ball is where it was, to less than half a voxel.
    middle = np.argwhere(found).mean(0) - np.argwhere(ball).mean(0)
    assert np.abs(middle).max() < 0.5
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.85


@pytest.mark.parametrize("axis", scans.AXES)
def test_a_model_of_slices_sees_a_volume_slice_by_slice(tmp_path, axis):
    shape = (7, 6, 5)
    parts = {name: noise(shape, k) for k, name in enumerate(("t1", "flair", "t1ce"))}
    write_case(tmp_path / "in", "a", parts, affine_of("LPS", (1, 1, 1), shape))
    found = modalities.find_volumes([tmp_path / "in"])
    net = restored(LGG, window=(4, 4))
    (row,) = volumes.predict(net, found, tmp_path / "out", axis)
    assert row["post_processed"] is False
    mask = nibabel.load(tmp_path / "out" / "a_mask.nii.gz")
    expected = brightest(list(parts.values()))
    np.testing.assert_array_equal(np.asanyarray(mask.dataobj), expected)
    rules = Rules(least_part=10**6)  # more than there is
    (row,) = volumes.predict(net, found, tmp_path / "out", axis, rules)
    assert row["post_processed"] is True and row["voxels"] == 0


def test_the_page_of_a_scan_says_its_sides_and_the_note(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        key_images, "write_page", lambda path, title, keys, lines: said.extend(lines)
    )
    write_case(
        tmp_path / "in",
        "a",
        {name: noise((4, 4, 3), 1) for name in ("t1", "flair", "t1ce")},
        affine_of("RAS", (1, 1, 1), (4, 4, 3)),
    )
    net = restored(LGG, window=(4, 4))
    about = dataclasses.replace(net.record.about, note="PHANTOM: synthetic data")
    noted = net._replace(record=net.record._replace(about=about))
    found = modalities.find_volumes([tmp_path / "in"])
    volumes.predict(noted, found, tmp_path / "out", "axial", also=["pages"])
    assert said[1:] == [scan_outputs.SIDES_SAID, "PHANTOM: synthetic data"]


def test_a_scan_has_the_numbers_of_training_where_they_fit(tmp_path):
    image = nibabel.Nifti1Image(np.full((2, 2, 2), 200, np.uint8), np.eye(4))
    image.to_filename(tmp_path / "a.nii")
    scan = scans.read(Case("a", (tmp_path / "a.nii",)), ["t1"])
    found = scans.in_dtype(scan, "int16")
    assert scan.image.dtype == np.uint8 and found.image.dtype == np.int16
    # By the largest value, as in training, and not by 255.
    assert seen_scans.scaling([found.image], {"name": "unit"}, ())[0, 3, 0] == 200
    wide = found._replace(image=found.image * 3)
    assert scans.in_dtype(wide, "uint8").image.dtype == np.int16
    assert scans.in_dtype(found, "uint8").image.dtype == np.uint8


def test_slices_are_seen_as_they_are_looked_at():
    marked = np.zeros((4, 5, 6))  # z y x: up, to the front, to the patient's right
    marked[3, 4, 5] = 1
    assert scans.slices(marked, "axial")[3, 0, 0]  # nose up, right at the left
    assert scans.slices(marked, "coronal")[4, 0, 0]  # crown up, right at the left
    assert scans.slices(marked, "sagittal")[5, 0, 0]  # crown up, nose at the left
    for axis in scans.AXES:
        back = scans.from_slices(scans.slices(marked, axis), axis)
        np.testing.assert_array_equal(back, marked)


def test_resampling_by_hand():
    ramp = np.arange(0, 80, 10, dtype=np.int16).reshape(8, 1, 1, 1)
    # Voxels twice as long: their middles lie between two of the old ones.
    assert scans.resized_shape((8, 1, 1), (1, 1, 1), (2, 1, 1)) == (4, 1, 1)
    found = scans.resize(ramp, (4, 1, 1))
    assert found.dtype == np.int16 and found.ravel().tolist() == [5, 25, 45, 65]
    assert scans.resized_shape((8, 9, 7), (1.004, 1, 1), (1, 1, 1)) == (8, 9, 7)


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


def test_scans_are_counted_and_pictures_among_them_are_told_of(
    tmp_path, monkeypatch, caplog
):
    folder = write_case(tmp_path / "in", "a", {"t1": noise((5, 4, 3), 0)}, np.eye(4))
    (folder / "b.png").touch()
    net = restored(("t1",), window=(4, 4, 4))
    monkeypatch.setattr(predict.ensembles, "restore_all", lambda workdir: net)
    monkeypatch.setattr(predict.ensembles, "card_of", lambda *_: None)
    with caplog.at_level("INFO"):
        predict.predict("run", [str(folder)], str(tmp_path / "out"))
    assert "1 scans predicted in " in caplog.text and "Not for diagnosis" in caplog.text
    assert "Left out 1 pictures among the scans" in caplog.text


def test_a_set_of_other_voxels_is_not_scored(caplog):
    (trained, other) = (
        restored(("t1",), window=(4, 4, 4), spacing=(size,) * 3).record.about.info
        for size in (1.0, 2.5)
    )
    scorable.check_spacing(trained, trained)
    scorable.check_spacing(other, trained)  # of one set: told of
    assert "Most voxels of this split are of 2.5 x 2.5 x 2.5 mm" in caplog.text
    with pytest.raises(ValueError, match="a/c has voxels of 2.5 .* resample the raw"):
        scorable.check_spacing(dataclasses.replace(other, name="a/c"), trained)


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


def spoil_name(folder):
    (folder / "a_t1ce.nii.gz").rename(folder / "a_contrast.nii.gz")


def spoil_bytes(folder):
    path = folder / "a_t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])


def spoil_kind(folder):
    (folder / "a_t2.nii.gz").write_bytes(gzip.compress(b"no scan at all"))


def replace_t2(folder, voxels, affine=None):
    affine = affine_of("LPS", (1, 1, 1), (5, 4, 3)) if affine is None else affine
    nibabel.Nifti1Image(voxels, affine).to_filename(folder / "a_t2.nii.gz")


def other_place(folder):
    replace_t2(folder, noise((5, 4, 3), 0), affine_of("RPS", (1, 1, 1), (5, 4, 3)))


@pytest.mark.parametrize(
    "spoil, said",
    [
        (spoil_name, r"a has no file for t1ce; there are: .* needs <case>_flair.nii.gz"),
        (spoil_bytes, r"a_t2.nii.gz cannot be read as NIfTI .*: it is cut short"),
        (spoil_kind, r"a_t2.nii.gz cannot be read as NIfTI"),
        (lambda f: replace_t2(f, noise((5, 4, 4), 0)), r"a_t2.* has 5 x 4 x 4 voxels, but"),
        (lambda f: replace_t2(f, np.full((5, 4, 3), np.nan)), "a_t2.* no numbers"),
        (lambda f: replace_t2(f, np.ones((5, 4, 3), "c8")), "a_t2.*complex64"),
        (lambda f: replace_t2(f, noise((5, 4, 3, 2), 0)), "axes whose last has these 4"),
        (other_place, r"a_t2.* lies up to .* mm from where a_flair"),
        (
            lambda f: (f / "b_t2w.nii.gz").write_bytes((f / "a_t2.nii.gz").read_bytes()),
            "b has no file for flair",
        ),
        (
            lambda f: (f / "a_t2w.nii.gz").write_bytes((f / "a_t2.nii.gz").read_bytes()),
            "two files for t2, a_t2.nii.gz and a_t2w.nii.gz",
        ),
        (
            lambda f: (f / "scan.nii.gz").write_bytes((f / "a_t2.nii.gz").read_bytes()),
            r"scan.nii.gz has 5 x 4 x 3 voxels; the model needs <case>_flair",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_the_other_cases_are_predicted(tmp_path, spoil, said):
    shape = (5, 4, 3)
    parts = {name: noise(shape, seed) for seed, name in enumerate(BRATS)}
    affine = affine_of("LPS", (1, 1, 1), shape)
    folder = write_case(tmp_path / "in", "a", parts, affine)
    write_case(folder, "good", parts, affine)
    spoil(folder)
    net, out = restored(BRATS, window=(4, 4, 4)), tmp_path / "out"
    with pytest.raises(UnreadableImage, match=rf"(?s)^[12] of [23] cases .*{said}"):
        volumes.predict(net, modalities.find_volumes([folder]), out, axis="axial")
    table = csv.DictReader((out / "predictions.csv").read_text().splitlines())
    rows = {row["volume"]: row for row in table}
    assert rows["good"]["fault"] == "" and (out / rows["good"]["mask"]).is_file()
    bad = [row for row in rows.values() if row["fault"]]
    assert any(re.search(said, row["fault"]) for row in bad)
    for row in bad:
        assert row["mask"] == "" and not (out / f"{row['volume']}_mask.nii.gz").exists()


def test_a_second_command_predicts_what_is_not_done(tmp_path, monkeypatch):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in "abc":
        write_case(folder, name, {"t1": noise((5, 4, 3), 0)}, np.eye(4))
    (folder / "b_t1.nii.gz").write_bytes(b"")
    net = restored(("t1",), window=(4, 4, 4))
    read, seen = scans.read, []
    monkeypatch.setattr(
        scans, "read", lambda case, names: seen.append(case.name) or read(case, names)
    )

    def cases_read(rules=volumes.NO_RULES):
        seen.clear()
        found = modalities.find_volumes([folder])
        rows = volumes.predict(net, found, out, "axial", rules)
        assert [row["volume"] for row in rows] == ["a", "b", "c"]
        return "".join(seen)

    with pytest.raises(UnreadableImage, match=r"(?s)1 of 3 cases .*b_t1.nii.gz cannot"):
        cases_read()
    assert "".join(seen) == "abc"  # each once
    write_case(folder, "b", {"t1": noise((5, 4, 3), 1)}, np.eye(4))
    assert cases_read() == "b"
    assert cases_read() == ""
    write_case(folder, "c", {"t1": noise((5, 4, 3), 2)}, np.eye(4))
    (out / "a_mask.nii.gz").unlink()
    assert cases_read() == "ac"
    assert cases_read(Rules(largest=True)) == "abc"  # a mask of other rules is another
    mask = np.asanyarray(nibabel.load(out / "c_mask.nii.gz").dataobj)
    assert mask.sum() == (noise((5, 4, 3), 2) > 0).sum()


def test_equal_names_have_as_many_folders_as_tell_them_apart(tmp_path):
    def case(place):
        return Case("P1", (tmp_path / place / "P1_flair.nii.gz",))

    one, other, third = case("x/P1"), case("y/P1"), case("z")
    assert volumes.output_names([one]) == ["P1"]
    assert volumes.output_names([one, third]) == ["P1_P1", "z_P1"]
    assert volumes.output_names([one, other]) == ["x_P1_P1", "y_P1_P1"]
    with pytest.raises(
        ValueError, match="x/P1/P1_flair.* and .*written under .* x_P1_P1"
    ):
        volumes.output_names([one, case("more/x/P1")])


def test_a_folder_keeps_the_rows_of_earlier_commands(tmp_path, caplog):
    out, net = tmp_path / "out", restored(("t1",), window=(4, 4, 4))

    def after_predicting(folder, names):
        for seed, name in enumerate(names):
            write_case(
                tmp_path / folder, name, {"t1": noise((5, 4, 3), seed)}, np.eye(4)
            )
        found = modalities.find_volumes([tmp_path / folder])
        assert len(volumes.predict(net, found, out, axis="axial")) == len(names)
        rows = csv.DictReader((out / "predictions.csv").read_text().splitlines())
        return sorted(
            (pathlib.Path(row["file"]).parent.name, row["volume"]) for row in rows
        )

    assert after_predicting("one", "ab") == [("one", "a"), ("one", "b")]
    assert "replaced" not in caplog.text
    both = after_predicting("two", "bc")
    assert both == [("one", "a"), ("two", "b"), ("two", "c")]
    assert "two/b_t1.nii.gz: the prediction of" in caplog.text
    (out / "a_mask.nii.gz").unlink()
    assert after_predicting("two", "bc") == [("two", "b"), ("two", "c")]
