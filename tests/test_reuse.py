"""Prepared data sets are read with plain TFDS, by a process without any code of ours."""

import hashlib
import json
import subprocess
import sys

import h5py
import numpy as np
import tifffile

from tests import small_slices

# As in another project: neither package can be imported, wherever it lies.
READER = """
import hashlib, importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("brainseg_jax", "datasets"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocked())
for name in ("brainseg_jax", "datasets"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert "is blocked" in str(error)
    else:
        sys.exit(f"{name} could be imported")

import tensorflow_datasets as tfds

def described(array):
    digest = hashlib.sha256(array.tobytes()).hexdigest()
    return [str(array.dtype), list(array.shape), digest]

builder = tfds.builder_from_directory(sys.argv[1])
found = {}
for split in builder.info.splits:
    for example in builder.as_data_source(split):
        found[example["key"].decode()] = {
            "split": split,
            "patient": example["patient"].decode(),
            "label": int(example["label" if "label" in example else "has_tumour"]),
            "image": described(example["image"]),
            "mask": described(example["mask"]),
        }
assert not {"brainseg_jax", "datasets"} & {*sys.modules}
metadata = builder.info.metadata
about = {name: metadata[name] for name in ("folds", "classes")}
print(json.dumps({"found": found, **about}))
"""


def read_elsewhere(folder, tmp_path):
    """What another process finds in a prepared data set, from a folder of its own."""
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def described(array):
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return [str(array.dtype), list(array.shape), digest]


def folds_agree(read):
    return all(
        one["split"] == f"fold_{read['folds'][one['patient']]}"
        for one in read["found"].values()
    )


def test_lgg_is_read_by_another_project(data_dir, tmp_path):
    (folder,) = (data_dir / "lgg_mri/phantom").glob("[0-9]*")
    read = read_elsewhere(folder, tmp_path)
    files = [*(data_dir / "raw/kaggle_3m").rglob("*_mask.tif")]
    assert len(read["found"]) == len(files) and folds_agree(read)
    assert read["classes"] == {"tumour": 255}
    for file in files:
        key = file.stem.removesuffix("_mask")
        mask, image = (
            tifffile.imread(path) for path in (file, file.with_name(f"{key}.tif"))
        )
        one = read["found"][key]
        assert one["image"] == described(image)
        assert one["mask"] == described(mask[..., None])
        assert (one["patient"], one["label"]) == (file.parent.name, int(mask.any()))


def test_figshare_is_read_by_another_project(tmp_path):
    raw = small_slices.write_tree(tmp_path / "raw")
    builder = small_slices.build(raw, tmp_path / "data")
    read = read_elsewhere(builder.data_dir, tmp_path)
    numbers = range(1, 1 + small_slices.PATIENTS * small_slices.SLICES)
    assert {*read["found"]} == {*map(str, numbers)} and folds_agree(read)
    for number in numbers:
        with h5py.File(raw / f"{number}.mat") as file:
            content = {name: file["cjdata"][name][()] for name in file["cjdata"]}
        one = read["found"][str(number)]
        # MATLAB stores columns first.
        assert one["image"] == described(
            content["image"].T.astype(np.uint16)[..., None]
        )
        label = int(content["label"].item())
        mask = content["tumorMask"].T.astype(np.uint8) * label
        assert one["mask"] == described(mask[..., None])
        assert one["label"] == label - 1
