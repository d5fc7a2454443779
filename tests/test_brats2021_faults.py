"""Raw files of the BraTS builder that are not as published: each named, nothing left."""

import gzip
import shutil
import tracemalloc

import nibabel
import numpy as np
import pytest

from datasets import nifti, raw
from tests import damaged_cases, small_cases
from tests.damaged_cases import CASE, path_of

original, tree = damaged_cases.original, damaged_cases.tree


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


def test_a_bomb_is_not_unpacked():
    image = small_cases.oriented(small_cases.parts_of(1)["t1"])
    bomb = gzip.compress(image.to_bytes() + bytes(2**26))
    tracemalloc.start()
    with pytest.raises(ValueError, match="holds more than the 1,008 bytes"):
        nifti.read(bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(bomb) < 2**17 and most < 2**22
