"""Scans unlike those of training are told of; others are not."""

import dataclasses
import types

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from brainseg_jax.data import modalities, scans, volume_profiles
from brainseg_jax.runs import seen_scans, unlike, volumes
from datasets import grids
from datasets.synthetic import glioma
from tests.small_scans import affine_of, restored, write_case

STEP = 5.0  # mm


def make_volume(number):
    """A phantom of a glioma, cropped to what is not 0, as prepared volumes are."""
    case = glioma.make_case(np.random.default_rng([3, number]), STEP, enhances=True)
    image = np.stack([case.images[name] for name in glioma.SEQUENCES], -1)[:, ::-1]
    return image[grids.foreground_box(*np.moveaxis(image, -1, 0))]


@pytest.fixture(scope="module")
def training():
    images = [make_volume(number) for number in range(8)]
    return types.SimpleNamespace(
        info=types.SimpleNamespace(channels=glioma.SEQUENCES),
        patients=[f"p{number}" for number in range(8)],
        spacings=[(STEP,) * 3] * 8,
        read_stored=lambda place: (images[place], None),
    )


@pytest.fixture(scope="module")
def known(training):
    return volume_profiles.profile(training)


@pytest.fixture(scope="module")
def unseen():
    """Volumes of other patients, with their spacings."""
    return [(image, (STEP,) * 3) for image in map(make_volume, (20, 21))]


def inverted(image, spacing):
    return image.max((0, 1, 2)) - image, spacing


def swapped(one, other):
    """Two of flair, t1, t1ce and t2 in each other's place."""

    def change(image, spacing):
        order = list(range(4))
        order[one], order[other] = other, one
        return image[..., order], spacing

    return change


def with_skull(image, spacing):
    """Dark bone and bright skin around the brain, two voxels of 5 mm each."""
    room = [(4, 4)] * 3
    image = np.pad(image, [*room, (0, 0)])
    brain = image.any(-1)
    bone, skin = (ndimage.binary_dilation(brain, iterations=n) for n in (2, 4))
    usual = np.median(image[brain], 0)
    image = np.where((bone & ~brain)[..., None], 0.15 * usual, image)
    return np.where((skin & ~bone)[..., None], 1.6 * usual, image), spacing


def of_thick_slices(image, spacing):
    return image[::3], (3 * spacing[0], *spacing[1:])


@pytest.mark.parametrize(
    "change, named",
    [
        (inverted, "share of dark voxels"),
        (swapped(0, 3), "like another of their sequences"),
        (swapped(1, 3), "like another of their sequences"),
        (with_skull, "the mm of its head from down to up"),
        (
            of_thick_slices,
            "between its voxels from down to up is 15, theirs are 5 to 5",
        ),
        (lambda image, spacing: (image[::-1], spacing), "turned"),
        (lambda image, spacing: (image[:, ::-1], spacing), "turned"),
        (lambda image, spacing: (image.swapaxes(0, 1), spacing), "turned"),
        (
            lambda image, spacing: (image * np.int32(100), spacing),
            "brightest hundredth",
        ),
    ],
)
def test_what_is_unlike_is_named(training, known, unseen, change, named):
    for image, spacing in unseen:
        image, spacing = change(image, spacing)
        channels = training.info.channels
        said = volume_profiles.unlike(image, spacing, channels, known)
        assert named in " ".join(said)


def test_a_number_is_told_once_for_all_sequences(training, known, unseen):
    image, spacing = inverted(*unseen[0])
    said = volume_profiles.unlike(image, spacing, training.info.channels, known)
    (air,) = [one for one in said if "dark voxels" in one]
    assert "dark voxels in flair is 0.0" in air and "(also in t1, t1ce, t2)" in air


def test_like_ones_are_left_in_peace(training, known, unseen):
    for image, spacing in unseen:
        assert (
            volume_profiles.unlike(image, spacing, training.info.channels, known) == ()
        )


def test_of_what_training_did_not_know_nothing_is_said(training, known, unseen):
    image, _ = unseen[0]
    ranges = {k: v for k, v in known["ranges"].items() if "extent" not in k}
    ranges = {k: v for k, v in ranges.items() if "spacing" not in k}
    less = {**known, "ranges": ranges}
    far = (50.0, 50.0, 50.0)
    assert volume_profiles.unlike(image, far, training.info.channels, less) == ()
    assert volume_profiles.unlike(image, far, training.info.channels, known)


def test_of_sequences_that_are_missing_nothing_is_said(training, known, unseen):
    image, spacing = unseen[0]
    image = image * np.array([1, 0, 1, 1], image.dtype)
    assert volume_profiles.unlike(image, spacing, training.info.channels, known) == ()


@pytest.mark.parametrize("turned", [False, True])
def test_the_warning_is_in_the_row_and_on_the_page(
    training, known, unseen, tmp_path, caplog, monkeypatch, turned
):
    net = restored(training.info.channels, window=(8, 8, 8))
    about = dataclasses.replace(
        net.record.about, data={**net.record.about.data, "profile": known}
    )
    net = net._replace(record=net.record._replace(about=about))
    remarks = []
    monkeypatch.setattr(volumes.scan_outputs, "write", _keep(remarks))
    monkeypatch.setattr(
        volumes.scan_labels, "make_label", lambda *_: lambda seen: _nothing(seen)
    )
    image, spacing = unseen[0]
    voxels = np.pad(image[::-1] if turned else image, [(2, 2)] * 3 + [(0, 0)])
    parts = {
        name: voxels[..., k].transpose(2, 1, 0)
        for k, name in enumerate(training.info.channels)
    }
    shape = next(iter(parts.values())).shape
    write_case(tmp_path / "in", "a", parts, affine_of("RAS", spacing[::-1], shape))
    found = modalities.find_volumes([tmp_path / "in"])
    (row,) = volumes.predict(net, found, tmp_path / "out", "axial")
    assert ("unlike the training scans" in row["warnings"]) == turned
    assert ("a: unlike the training scans" in caplog.text) == turned
    assert "; ".join(remarks) == row["warnings"]


def _keep(remarks):
    def write(stem, case, scan, labels, info, also, said, true):
        assert true is None
        remarks.extend(said)
        return {}

    return write


def _nothing(seen):
    return np.zeros(seen.grid.shape, np.uint8)


def test_a_model_of_slices_judges_the_slices_that_it_sees(training):
    """As pictures are; and a sequence of one value is told without a profile."""
    known = {"mean": " ".join(["0.5"] * 256), "ranges": {}}
    about = restored(("t1",), window=(4, 4)).record.about
    rng = np.random.default_rng(0)
    image = rng.integers(1, 200, (6, 5, 4, 1)).astype(np.int16)
    scan = scans.Scan(image, (1.0,) * 3, (4, 5, 6), np.eye(4), nibabel.Nifti1Header())

    def told(scan, about):
        seen = seen_scans.make_see(about, "axial")(scan)
        return unlike.warnings_of(scan, seen, about, "a")

    assert told(scan, about) == ()
    names = ("brightness", "air", "contrast", "height", "width", "likeness", "turned")
    known["ranges"] = {name: [-1e6, 1e6] for name in names} | {"height": [9, 9]}
    about = dataclasses.replace(about, data={**about.data, "profile": known})
    (said,) = told(scan, about)
    assert "its height in pixels is 5, theirs are 9 to 9" in said
    flat = scan._replace(image=np.full_like(image, 7))
    assert told(flat, about) == ("t1 is of one value everywhere",)
