"""The figshare builder: every way of passing the raw files, every fault, nothing lost."""

import importlib.util
import pathlib
import subprocess
import sys
import warnings
import zipfile

import cv2
import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds

from brainseg_jax.data import sources
from datasets import folds, leaky
from datasets.synthetic import matlab
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


def test_a_pixel_of_any_kind_of_tumour_is_of_the_foreground(prepared):
    every = "+".join(f"fold_{fold}" for fold in range(5))
    kinds = opened(prepared, every)
    joined = opened(prepared, every, foreground="tumour")
    assert joined.info.classes == {"tumour": [1, 2, 3]}
    for place in range(len(kinds)):
        shares = kinds.example(place)["share"]
        assert shares.shape == (24, 24, 3)
        # As bytes: the sum of three is rounded three times.
        whole = joined.example(place)["share"].astype(int)
        assert abs(whole[..., 0] - shares.astype(int).sum(-1)).max() <= 1
        assert shares.any()


def test_official_folds_are_read_by_their_names(prepared, built):
    source = opened(prepared, "official_0+official_3")
    official = built.info.metadata["official"]
    assert sorted(source.keys) == sorted(
        official["official_0"] + official["official_3"]
    )
    assert {int(patient[-4:]) % 5 for patient in source.patients} == {0, 3}
    assert source.info.note("official_0") == "PHANTOM: synthetic data"
    assert "official" not in source.info.to_record()


@pytest.mark.parametrize(
    "split", ["official_9", "official_0+fold_1", "fold_1+official_0"]
)
def test_official_folds_that_are_not_there_are_refused(prepared, split):
    with pytest.raises(
        ValueError, match="has no split .*fold_0, .*official_0, .*leaky_30"
    ):
        opened(prepared, split)


def test_leaky_slices_are_marked_as_such(prepared):
    source = opened(prepared, "leaky_20_test")
    assert "LEAKY" in source.info.note("leaky_20_test") and len(source) == 4


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


REPEATED = """
import pathlib, re, sys
from brainseg_jax.data import sources
from datasets import prepare

raw_dir, data_dir = sys.argv[1:]
name = "figshare_brain_tumor/phantom"
prepare.prepare(name, data_dir, raw_dir)
folds = "+".join(f"fold_{fold}" for fold in range(5))
source = sources.open_split(
    name, folds, data_dir, size=(256, 256), normalisation={"name": "volume_unit"},
    only_tumour=False, stored_masks=True,
)
assert sum(source.example(i)["mask"].any() for i in range(len(source))) == len(source)
# ru_maxrss would be no less than the peak of the process that started this one
status = pathlib.Path("/proc/self/status").read_text()
print(len(source), int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) // 1024)
"""


@pytest.mark.slow
def test_as_many_slices_as_are_published_fit_into_little_memory(tmp_path):
    """3,064 of 512x512 from a zip of zips, prepared and read again: under 1.5 GiB."""
    write_as_many(tmp_path)
    command = [sys.executable, "-c", REPEATED, str(tmp_path / "all.zip"), str(tmp_path)]
    root = pathlib.Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    slices, mebibytes = map(int, done.stdout.splitlines()[-1].split())
    assert slices == 3064 and mebibytes < 1536


def write_as_many(folder):
    """Four zips of slices that differ in their patient and a few pixels, in one zip."""
    _, mask, border = small_slices.content(0, (512, 512), 3)
    rows, columns = np.indices(mask.shape)
    image = (5 * rows + columns).astype(np.int16)  # 3,067 values; small when packed
    with zipfile.ZipFile(folder / "all.zip", "w") as whole:
        for part in range(4):
            with zipfile.ZipFile(folder / "part.zip", "w") as archive:
                for number in range(766 * part + 1, 766 * part + 767):
                    patient = number // 13
                    matlab.write_slice(
                        folder / "one.mat",
                        np.roll(image, 7 * number, axis=0),
                        mask,
                        label=patient % 3 + 1,
                        patient=f"PHANTOM{patient}",
                        border=border,
                    )
                    archive.write(folder / "one.mat", f"{number}.mat")
            whole.write(folder / "part.zip", f"part_{part}.zip")
        patients = [number // 13 for number in range(1, 3065)]
        matlab.write_folds(folder / "cvind.mat", [one % 5 + 1 for one in patients])
        whole.write(folder / "cvind.mat", "cvind.mat")
    for name in ("one.mat", "part.zip", "cvind.mat"):
        (folder / name).unlink()
