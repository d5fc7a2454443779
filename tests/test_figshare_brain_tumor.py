"""The figshare builder: every way of passing the raw files, every fault, nothing lost."""

import importlib.util
import pathlib
import warnings

import cv2
import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from brainseg_jax.data import sources
from datasets import folds, leaky
from tests import small_slices

SHARED = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return small_slices.write_tree(tmp_path_factory.mktemp("raw") / "figshare")


@pytest.fixture(scope="module")
def prepared(original, tmp_path_factory):
    """The folder in which the data set lies."""
    folder = tmp_path_factory.mktemp("data")
    small_slices.build(original, folder)
    return folder


@pytest.fixture(scope="module")
def built(prepared):
    return tfds.builder_from_directory(prepared / "figshare_brain_tumor/phantom/1.0.0")


def examples(builder):
    splits = {name: builder.as_data_source(name) for name in builder.info.splits}
    return {name: list(source) for name, source in splits.items()}


def all_examples(builder):
    return [example for part in examples(builder).values() for example in part]


def test_stored_pixels_equal_raw_pixels(built, original):
    stored = all_examples(built)
    assert len(stored) == 18
    for example in stored:
        check_example(example, original / f"{example['key'].decode()}.mat")


def check_example(example, path):
    """Against what is read here: the file's arrays, transposed."""
    image = small_slices.read(path, "image").T
    assert example["image"].dtype == np.uint16
    np.testing.assert_array_equal(example["image"][..., 0], image)
    mask, label = (
        small_slices.read(path, "tumorMask").T,
        small_slices.read(path, "label"),
    )
    np.testing.assert_array_equal(example["mask"][..., 0], mask * label.item())
    assert example["label"] == label.item() - 1
    letters = small_slices.read(path, "PID").reshape(-1)
    assert example["patient"].decode() == "".join(map(chr, letters))
    border = small_slices.read(path, "tumorBorder").reshape(-1, 2)
    np.testing.assert_array_equal(example["border"], border)
    assert example["slice"] == int(path.stem)


def test_the_border_lies_in_the_mask_grown_by_a_pixel(built):
    for example in all_examples(built):
        assert border_is_within(example, pixels=1)


def border_is_within(example, pixels):
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    grown = cv2.dilate((example["mask"][..., 0] > 0).astype(np.uint8), square)
    columns, rows = np.rint(example["border"] - 1).astype(int).T
    return grown[rows, columns].all()


def test_slices_of_both_sizes_keep_theirs(built):
    shapes = {example["image"].shape[:2] for example in all_examples(built)}
    assert shapes == {small_slices.SHAPE, small_slices.OTHER_SHAPE}


def test_patients_never_straddle_a_split(built):
    seen: dict[bytes, str] = {}
    for name, part in examples(built).items():
        assert part == sorted(part, key=lambda one: (one["patient"], one["slice"]))
        for example in part:
            assert seen.setdefault(example["patient"], name) == name
    table = built.info.metadata["folds"]
    assert {k.decode(): v for k, v in seen.items()} == {
        patient: f"fold_{fold}" for patient, fold in table.items()
    }


def test_folds_come_from_the_class_and_mask_pixels(built):
    patients: dict[str, folds.Patient] = {}
    for example in all_examples(built):
        name, area = example["patient"].decode(), int((example["mask"] > 0).sum())
        stratum = ("meningioma", "glioma", "pituitary")[example["label"]]
        before = patients.get(name, folds.Patient(stratum, 0))
        patients[name] = folds.Patient(stratum, before.tumour_volume + area)
    assert built.info.metadata["folds"] == folds.assign_folds(patients)


def test_official_folds_are_those_of_cvind(built):
    official = built.info.metadata["official"]
    for example in all_examples(built):
        fold = int(example["patient"].decode()[-4:]) % 5
        assert example["official_fold"] == fold
        assert example["key"].decode() in official[f"official_{fold}"]
    assert sum(map(len, official.values())) == 18


def test_metadata_says_what_a_reader_needs(built):
    metadata = built.info.metadata
    assert metadata["classes"] == {"meningioma": 1, "glioma": 2, "pituitary": 3}
    assert (
        metadata["channels"] == ["post-contrast T1"] and metadata["synthetic"] is True
    )
    assert metadata["patients"] == 9 and metadata["slices"] == 18
    assert metadata["patients_by_class"] == {
        "meningioma": 3,
        "glioma": 3,
        "pituitary": 3,
    }
    assert sorted(
        sum((metadata["leaky"][f"leaky_30_{part}"] for part in PARTS), [])
    ) == (sorted(example["key"].decode() for example in all_examples(built)))


PARTS = ("train", "validation", "test")


def test_leaky_splits_have_the_published_sizes_and_shares_of_classes():
    classes = [1] * 708 + [2] * 1426 + [3] * 930
    labels = {f"key_{number}": label for number, label in enumerate(classes)}
    splits = leaky.splits_by_class(labels)
    for tenths, sizes in ((30, (1929, 215, 920)), (20, (2205, 246, 613))):
        parts = [splits[f"leaky_{tenths}_{name}"] for name in PARTS]
        assert tuple(map(len, parts)) == sizes
        assert sorted(sum(parts, [])) == sorted(labels)
        for part in parts:
            for label, count in ((1, 708), (2, 1426), (3, 930)):
                found = sum(labels[key] == label for key in part)
                assert abs(found - len(part) * count / 3064) < 2
    assert splits == leaky.splits_by_class(labels) != leaky.splits_by_class(labels, 1)


def opened(prepared, split, **options):
    return sources.open_split(
        "figshare_brain_tumor/phantom",
        split,
        prepared,
        size=(24, 24),
        normalisation={"name": "volume_unit"},
        only_tumour=False,
        **options,
    )


def test_prepared_slices_of_two_sizes_are_read_by_the_project(prepared, built):
    source = opened(prepared, "+".join(built.info.splits), stored_masks=True)
    assert set(source.shapes) == {small_slices.SHAPE, small_slices.OTHER_SHAPE}
    assert source.info.labels == ("meningioma", "glioma", "pituitary")
    assert source.info.dtype == "uint16" and len(source) == 18
    by_key = {example["key"].decode(): example for example in all_examples(built)}
    for place, key in enumerate(source.keys):
        fitted, stored = source.example(place), by_key[key]
        np.testing.assert_array_equal(fitted["mask"], stored["mask"])
        assert fitted["image"].shape == (24, 24, 1)
        assert source.labels[place] == stored["label"]


def test_a_series_is_normalised_by_itself(built):
    with np.load(pathlib.Path(built.data_dir) / "index.npz") as index:
        of_first = index["volume"][index["patient"] == "PHANTOM0000"].tolist()
    assert of_first == ["PHANTOM0000 from 1", "PHANTOM0000 from 10"]


@pytest.fixture
def unpack(monkeypatch):
    """Writes the real slices of some patients, or of all."""
    if not SHARED.is_dir():
        pytest.skip("the real samples are not here")
    spec = importlib.util.spec_from_file_location("unpack", SHARED / "unpack.py")
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        spec.loader.exec_module(module)
    members = module.members

    def some(archive, patients):
        for path, data in members(archive):
            if path.name == "metadata.csv" and patients:
                head, *rows = data.decode().splitlines(keepends=True)
                kept = [row for row in rows if any(name in row for name in patients)]
                data = "".join([head, *kept]).encode()
            yield path, data

    def write(folder, *patients):
        monkeypatch.setattr(module, "members", lambda archive: some(archive, patients))
        module.unpack_figshare(folder)
        return folder / "figshare"

    return write


def check_real(tree, data_dir):
    """Every stored example of the real files, and where its border lies."""
    builder = small_slices.build(tree, data_dir, "figshare")
    with h5py.File(tree / "cvind.mat") as file:
        official = file["cvind"][()].reshape(-1)
    stored = all_examples(builder)
    assert len(stored) == len([*tree.glob("*.mat")]) - 1
    for example in stored:
        check_example(example, tree / f"{example['key'].decode()}.mat")
        assert example["official_fold"] == official[example["slice"] - 1] - 1
        assert border_is_within(example, pixels=3)
    assert builder.info.metadata["synthetic"] is False
    return stored


def test_real_slices_are_read_and_kept_bit_for_bit(unpack, tmp_path):
    stored = check_real(unpack(tmp_path, "108931", "99288"), tmp_path / "data")
    assert {example["image"].shape[0] for example in stored} == {256, 512}
    assert {example["patient"] for example in stored} == {b"108931", b"99288"}


@pytest.mark.slow
def test_all_real_slices_that_are_here(unpack, tmp_path):
    stored = check_real(unpack(tmp_path), tmp_path / "data")
    assert len(stored) == 116 and {example["label"] for example in stored} == {0, 1, 2}
