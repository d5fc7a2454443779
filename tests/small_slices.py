"""Small .mat files in the layout of the figshare brain tumour set, quickly made."""

import h5py
import numpy as np
import tensorflow_datasets as tfds

from datasets import prepare
from datasets.synthetic import matlab

PATIENTS, SLICES = 9, 2
SHAPE, OTHER_SHAPE = (32, 40), (16, 20)  # not square, to tell rows from columns


def content(number, shape, label):
    """An image, a mask and its border: a box in a ramp with noise."""
    rng = np.random.default_rng(number)
    rows, columns = np.indices(shape)
    image = (1000 * label + 10 * rows + columns + rng.integers(0, 5, shape)).astype(
        "<i2"
    )
    mask = np.zeros(shape, bool)
    top, left = shape[0] // 4, shape[1] // 8
    bottom, right = top + 4 + label, left + 6 + number % 3
    mask[top:bottom, left:right] = True
    corners = [
        (left, top),
        (right - 1, top),
        (right - 1, bottom - 1),
        (left, bottom - 1),
    ]
    return image, mask, np.array(corners) + 1.5


def write_tree(folder, *, patients=PATIENTS, name="PHANTOM{:04d}", folds=None):
    """1.mat to <patients * 2>.mat and cvind.mat: two runs, of a slice of each patient."""
    folder.mkdir(parents=True, exist_ok=True)
    official = []
    for run in range(SLICES):
        for patient in range(patients):
            number = run * patients + patient + 1
            label = patient % 3 + 1
            shape = OTHER_SHAPE if patient == 2 else SHAPE
            image, mask, border = content(number, shape, label)
            matlab.write_slice(
                folder / f"{number}.mat",
                image,
                mask,
                label=label,
                patient=name.format(patient),
                border=border,
            )
            official.append(patient % 5 + 1)
    matlab.write_folds(folder / "cvind.mat", folds or official)
    return folder


def replace(path, field, value):
    """Puts another array, or None for nothing, in the place of a field of cjdata."""
    with h5py.File(path, "r+") as file:
        del file["cjdata"][field]
        if value is not None:
            file["cjdata"][field] = value


def read(path, field):
    """A field of cjdata as HDF5 gives it."""
    with h5py.File(path) as file:
        return file["cjdata"][field][()]


def build(raw_dir, data_dir, variant="phantom", **options):
    folder = prepare.prepare(
        f"figshare_brain_tumor/{variant}", data_dir, raw_dir, **options
    )
    return tfds.builder_from_directory(folder)


def nothing_is_left(data_dir):
    """Of a data set or its beginning; TFDS's own list of data sets and the lock may be."""
    return not [*data_dir.glob("figshare_brain_tumor/[!.]*/[!.]*")]
