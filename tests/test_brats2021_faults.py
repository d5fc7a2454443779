"""Raw files of the BraTS builder that are not as published: each named, nothing left."""

import csv
import gzip
import os
import pathlib
import shutil
import tarfile
import tracemalloc
import zipfile

import nibabel
import numpy as np
import pytest

from brainseg_jax.data import index as data_index
from brainseg_jax.data import leakage
from datasets import nifti, raw
from datasets.brats2021 import raw_files, releases, tcga
from tests import small_cases

CASE = small_cases.name_of(2)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    tree = tmp_path_factory.mktemp("raw") / "tree"
    return small_cases.write_tree(tree, cases=3)


@pytest.fixture
def tree(original, tmp_path):
    """A copy to damage."""
    return pathlib.Path(shutil.copytree(original, tmp_path / "tree"))


def path_of(tree, part="t1", case=CASE):
    return tree / case / f"{case}_{part}.nii.gz"


def save(path, voxels, affine=None, image=nibabel.Nifti1Image, **header):
    made = image(voxels, nibabel.load(path).affine if affine is None else affine)
    for name, value in header.items():
        made.header[name] = value
    # To a name of its own first: voxels may still have to be read from the old file.
    beside = path.with_name(f"new_{path.name}")
    made.to_filename(beside)
    beside.replace(path)


def with_voxels(change, part="t1", **header):
    """A fault: a file's voxels as `change` makes them."""

    def fault(tree):
        path = path_of(tree, part)
        save(path, change(np.asanyarray(nibabel.load(path).dataobj)), **header)

    return fault


def with_affine(change):
    def fault(tree):
        image = nibabel.load(path_of(tree))
        save(path_of(tree), np.asanyarray(image.dataobj), change(image.affine.copy()))

    return fault


def with_bytes(change, part="t1"):
    def fault(tree):
        path = path_of(tree, part)
        path.write_bytes(change(path.read_bytes()))

    return fault


def unpacked(change):
    """A fault of what is inside of the gzip."""
    return with_bytes(lambda data: gzip.compress(change(gzip.decompress(data))))


def one_voxel(value, dtype):
    def change(voxels):
        changed = voxels.astype(dtype)
        changed[3, 3, 3] = value
        return changed

    return change


def number_at(place, value, dtype="<i2"):
    """A fault of the header: bytes at a place."""
    new = np.array(value, dtype).tobytes()
    return unpacked(lambda data: data[:place] + new + data[place + len(new) :])


def turned(tree):
    """The same voxels, in a file that is oriented otherwise."""
    other = small_cases.oriented(small_cases.parts_of(2)["t1"], "RAS")
    save(path_of(tree), np.asanyarray(other.dataobj), other.affine)


def shifted(affine):
    affine[0, 3] += 2.0
    return affine


def flat(affine):
    affine[:, 1] = affine[:, 0]
    return affine


def swap(tree):
    image, mask = path_of(tree, "t1"), path_of(tree, "seg")
    image.rename(tree / "held")
    mask.rename(image)
    (tree / "held").rename(mask)


def copy_sequence(tree):
    shutil.copy(path_of(tree, "flair"), path_of(tree, "t1"))


def rename(tree):
    path_of(tree, "t1ce").rename(path_of(tree, "t1gd"))


def duplicate(tree):
    shutil.copytree(tree / CASE, tree / "again" / CASE)


def copy_case(tree):
    for part in small_cases.PARTS:
        target = path_of(tree, part, small_cases.name_of(9))
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path_of(tree, part), target)


def into_another_folder(tree):
    path_of(tree).rename(tree / small_cases.name_of(1) / path_of(tree).name)


def unnumbered(voxels):
    return np.where(voxels == 4, 3, voxels).astype(np.uint8)


def of_colours(voxels):
    return np.zeros(voxels.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])


FAULTS = {
    "truncated": (with_bytes(lambda data: data[:-40]), "t1.nii.gz: is cut short"),
    "cut in the header": (with_bytes(lambda data: data[:60]), "is cut short"),
    "empty file": (with_bytes(lambda data: b""), "is cut short: fetch or unpack"),
    "damaged": (
        with_bytes(lambda data: data[:-8] + bytes(8)),
        r"t1.nii.gz: cannot be read as NIfTI \(CRC check failed",
    ),
    "text": (with_bytes(lambda data: b"no volume"), "is no NIfTI file: it begins with"),
    "a longer end": (
        unpacked(lambda data: data + b"\0"),
        "holds more than the 1,008 bytes of . x . x . voxels",
    ),
    "too few voxels": (unpacked(lambda data: data[:-2]), "is cut short"),
    "a huge header": (
        number_at(42, [4000] * 3),
        "has 4000 x 4000 x 4000 voxels by its header, where 134,217,728 are the most",
    ),
    "voxels nowhere": (number_at(108, 9e6, "<f4"), "has its voxels at byte 9000000"),
    "a pair": (unpacked(lambda data: data.replace(b"n+1\0", b"ni1\0")), "of a pair of"),
    "4D": (
        with_voxels(lambda voxels: np.stack([voxels, voxels], -1)),
        "has 4 axes, . x . x . x 2, instead of 3",
    ),
    "2D": (with_voxels(lambda voxels: voxels[0]), "has 2 axes, . x ., instead of 3"),
    "colours": (with_voxels(of_colours), "not one number for each voxel"),
    "other shape": (
        with_voxels(lambda voxels: voxels[:-1]),
        r"has . x . x . voxels, but .*flair.nii.gz has . x . x .$",
    ),
    "other affine": (
        with_affine(shifted),
        "lies up to 2 mm from where .*_flair.nii.gz lies: their affines differ",
    ),
    "other axes": (turned, r"has the axes RAS, but .*_flair.nii.gz has [A-Z]{3}$"),
    "flat": (with_affine(flat), "has an affine that makes voxels flat"),
    "an affine of NaN": (
        number_at(280, np.nan, "<f4"),
        "has an affine with numbers that are none",
    ),
    "NaN": (
        with_voxels(one_voxel(np.nan, "f4")),
        r"t1.nii.gz: has voxels that are no numbers \(NaN or infinite\)",
    ),
    "not whole": (
        with_voxels(one_voxel(0.25, "f4")),
        "has 1 values that are not whole, such as 0.25",
    ),
    "too bright": (
        with_voxels(one_voxel(32_768, "i4")),
        "has the value 32768, where -32768 to 32767 are stored",
    ),
    "nothing in it": (with_voxels(lambda voxels: 0 * voxels), "is empty: all of its"),
    "label 3": (
        with_voxels(unnumbered, "seg"),
        "seg.nii.gz: has the label 3, where BraTS 2021 has 0, 1, 2, 4 alone",
    ),
    "half a label": (
        with_voxels(one_voxel(0.5, "f4"), "seg"),
        "has 1 values that are not whole, such as 0.5",
    ),
    "a label of NaN": (with_voxels(one_voxel(np.nan, "f4"), "seg"), "are no numbers"),
    "swapped names": (swap, "t1.nii.gz: holds labels and no image: were files renamed"),
    "an image as mask": (
        lambda tree: shutil.copy(path_of(tree, "t2"), path_of(tree, "seg")),
        "seg.nii.gz: has 1.. values: it is an image, not a mask",
    ),
    "a sequence twice": (copy_sequence, "t1.nii.gz: has the same voxels as .*flair"),
    "no sequence": (
        lambda tree: path_of(tree, "t2").unlink(),
        rf"case {CASE}: lacks {CASE}_t2.nii.gz$",
    ),
    "no mask": (
        lambda tree: path_of(tree, "seg").unlink(),
        f"lacks {CASE}_seg.nii.gz, as the challenge's cases for validation do",
    ),
    "misnamed": (rename, "t1gd.nii.gz: is called neither BraTS2021_<number>_flair|t1"),
    "a case twice": (duplicate, f"is a duplicate of {CASE}/{CASE}_flair.nii.gz"),
    "the same voxels": (
        copy_case,
        f"case {small_cases.name_of(9)}: has the same voxels as case {CASE}, so it is",
    ),
    "in another folder": (
        into_another_folder,
        f"lies in the folder of another case, {small_cases.name_of(1)}",
    ),
    "a table of bytes": (
        lambda tree: (tree / "mapping.csv").write_bytes(b"\xff\xfe\x00"),
        "mapping.csv: cannot be read as a table",
    ),
    "a spreadsheet": (
        lambda tree: (tree / "mapping.xlsx").write_bytes(b"PK"),
        "mapping.xlsx: is a spreadsheet, which is not read: save it as CSV",
    ),
}


@pytest.mark.parametrize("fault, reason", FAULTS.values(), ids=[*FAULTS])
def test_a_fault_is_named_and_nothing_is_left(tree, tmp_path, fault, reason):
    fault(tree)
    with pytest.raises(raw.BadFile, match=f"(?m){reason}") as refusal:
        small_cases.build(tree, tmp_path / "data")
    assert "leave these cases out with --config.data.skip_bad_files=True" in str(
        refusal.value
    )
    assert small_cases.nothing_is_left(tmp_path / "data")


def test_bad_cases_are_skipped_and_listed(tree, tmp_path):
    truncated, _ = FAULTS["truncated"]
    truncated(tree)
    path_of(tree, "t2", small_cases.name_of(3)).unlink()
    builder = small_cases.build(tree, tmp_path / "data", skip_bad_files=True)
    metadata = builder.info.metadata
    assert metadata["volumes"] == 1
    assert {bad["file"] for bad in metadata["skipped"]} == {
        f"{CASE}/{CASE}_t1.nii.gz",
        f"case {small_cases.name_of(3)}",
    }


def test_all_faults_are_named_at_once(tree, tmp_path):
    for number in (1, 2, 3):
        path_of(tree, "seg", small_cases.name_of(number)).write_bytes(b"")
    with pytest.raises(raw.BadFile, match="^3 raw files cannot be used") as refusal:
        small_cases.build(tree, tmp_path / "data", skip_bad_files=True)
    for number in (1, 2, 3):
        assert small_cases.name_of(number) in str(refusal.value)
    assert small_cases.nothing_is_left(tmp_path / "data")


def test_a_bomb_is_not_unpacked():
    image = small_cases.oriented(small_cases.parts_of(1)["t1"])
    bomb = gzip.compress(image.to_bytes() + bytes(2**26))
    tracemalloc.start()
    with pytest.raises(ValueError, match="holds more than the 1,008 bytes"):
        nifti.read(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(bomb) < 2**17 and most < 2**22


def test_files_that_may_not_be_read_are_named(tree, tmp_path, monkeypatch):
    read = pathlib.Path.read_bytes

    def refuse(path):
        if path.name.endswith("t1.nii.gz") and CASE in path.name:
            raise PermissionError(13, os.strerror(13), str(path))
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)  # tests may run as root
    with pytest.raises(raw.BadFile, match=r"t1.nii.gz: cannot be read \(Permission de"):
        small_cases.build(tree, tmp_path / "data")


def test_an_axis_order_that_no_published_case_has(tmp_path):
    shutil.copytree(small_cases.write_tree(tmp_path / "phantom"), tmp_path / "real")
    for path in sorted((tmp_path / "real").rglob("*PHANTOM*"), reverse=True):
        path.rename(path.with_name(path.name.replace("PHANTOM", "0")))
    with pytest.raises(
        raw.BadFile, match="7 x 8 x 9 voxels along z, y and x, where all"
    ):
        small_cases.build(tmp_path / "real", tmp_path / "data", "kaggle")


def test_synthetic_and_real_cases_are_told_apart(tree, tmp_path):
    with pytest.raises(
        raw.BadFile, match="is synthetic, so it is not for brats2021/kag"
    ):
        small_cases.build(tree, tmp_path / "data", "kaggle")
    for path in sorted(tree.rglob("*PHANTOM*"), reverse=True):
        path.rename(path.with_name(path.name.replace("PHANTOM", "0")))
    with pytest.raises(
        raw.BadFile, match="is real, so it is not for brats2021/phantom"
    ):
        small_cases.build(tree, tmp_path / "data")


def test_two_years_are_not_mixed(tree, tmp_path):
    folder = tree / "BraTS-GLI-PHANTOM00001-000"
    folder.mkdir()
    shutil.copy(path_of(tree), folder / f"{folder.name}-t1n.nii.gz")
    with pytest.raises(raw.BadFile, match="cases of BraTS 2021 and of BraTS 2023"):
        small_cases.build(tree, tmp_path / "data")


@pytest.mark.parametrize(
    "name, said",
    [
        ("", "brats2021 needs raw data"),
        ("nowhere", "There is no .*nowhere"),
        ("around", r"(?s)holds no BraTS2021_.*\nPerhaps .*around/training.tar\?"),
    ],
)
def test_without_raw_files_it_is_said_how_to_get_them(tmp_path, name, said):
    (tmp_path / "around").mkdir()
    (tmp_path / "around" / "training.tar").write_bytes(b"")
    with pytest.raises(raw.MissingRawData, match=said) as refusal:
        small_cases.build(name and tmp_path / name, tmp_path / "data", "kaggle")
    assert "BraTS2021_Training_Data.tar" in str(refusal.value)


@pytest.mark.parametrize("mode", ["w:gz", "cut"])
def test_a_tar_that_cannot_be_read_in_place_is_refused(tree, tmp_path, mode):
    path = tmp_path / ("cases.tar.gz" if mode == "w:gz" else "cases.tar")
    with tarfile.open(path, "w:gz" if mode == "w:gz" else "w") as archive:
        archive.add(tree, ".")
    if mode == "cut":
        path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(raw.BadFile, match="cannot be read as a tar .*fetch it again"):
        small_cases.build(path, tmp_path / "data")


def test_a_zip_around_the_tar_is_to_be_unpacked(tmp_path):
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("BraTS2021_00495.tar", b"")
        archive.writestr("BraTS2021_Training_Data.tar", b"")
    said = r"holds BraTS2021_Training_Data.tar: unpack the zip, and pass that"
    with pytest.raises(raw.BadFile, match=said):
        small_cases.build(path, tmp_path / "data", "kaggle")


def write_mapping(tree, rows):
    with (tree / "BraTS21-17_Mapping.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [["BraTS2021 ID", "Data Collection", "Local ID"], *rows]
        )


def test_the_publishers_table_names_patients(tree, tmp_path, capsys):
    rows = [
        [small_cases.name_of(1), "TCGA-LGG", "TCGA-CS-4941"],
        [CASE, "TCGA-LGG", "TCGA-CS-4941"],
        [small_cases.name_of(3), "UPENN-GBM", "UPENN-GBM-00002"],
    ]
    write_mapping(tree, rows)
    builder = small_cases.build(tree, tmp_path / "data")
    assert builder.info.metadata["folds"].keys() == {
        "TCGA_CS_4941",
        small_cases.name_of(3),
    }
    stored = small_cases.examples(builder)
    assert stored[CASE]["patient"] == b"TCGA_CS_4941"
    said = "2 of 3 cases are called by their patients in TCGA."
    assert said in capsys.readouterr().out


def test_only_of_real_cases_it_is_said_that_none_is_known(tree, capsys):
    files = raw_files.open_brats(tree)
    cases = releases.find_cases(files.names).cases
    told, bad = tcga.find_patients(files, cases)
    assert not bad and told == {one.key: one.patient for one in cases}
    assert "TCGA" not in capsys.readouterr().out
    real = [one._replace(key=one.key.replace("PHANTOM", "")) for one in cases]
    tcga.find_patients(files, real)
    said = "0 of 3 cases are called by their patients in TCGA.\nWhether a model"
    assert said in capsys.readouterr().out


def test_a_patient_whom_a_model_of_lgg_was_trained_on_is_known(tree, tmp_path):
    write_mapping(tree, [[CASE, "TCGA-CS-4941"]])
    small_cases.build(tree, tmp_path / "data")
    index = data_index.read_index(next(tmp_path.glob("data/brats2021/phantom/*")))
    # As folders of the LGG set are called: with the date of the scan.
    trained = ["TCGA_CS_4941_19960909", "TCGA_CS_4942_19970222"]
    assert leakage.known(index.patients, trained) == ["TCGA_CS_4941"]
    assert leakage.known(trained, index.patients) == trained[:1]


def test_a_table_that_contradicts_itself_is_named(tree, tmp_path):
    write_mapping(tree, [[CASE, "TCGA-CS-4941"], [CASE, "TCGA-HT-1234"]])
    with pytest.raises(
        raw.BadFile,
        match="Mapping.csv: says that case .*2 is TCGA_HT_1234's and TCGA_C",
    ):
        small_cases.build(tree, tmp_path / "data")
