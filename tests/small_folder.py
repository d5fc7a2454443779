"""Small pictures of one's own in each layout, quickly made."""

import json

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from configs import base
from datasets import prepare

PATIENTS, SLICES = 6, 2
SHAPE, OTHER_SHAPE = (16, 20), (12, 10)  # not square, to tell rows from columns
PATTERN = "(?P<patient>[^/_]+)_[^/]*$"
FILE = "P1_2.png"  # one of them


def picture(number, shape=SHAPE, dtype=np.uint8, channels=1):
    rng = np.random.default_rng(number)
    image = rng.integers(0, np.iinfo(dtype).max, (*shape, channels), dtype)
    return image[..., 0] if channels == 1 else image


def mask(number, shape=SHAPE, value=255):
    """A box; every fourth is empty."""
    labels = np.zeros(shape, np.uint8)
    if number % 4:
        labels[3 : 6 + number % 3, 2:7] = value
    return labels


def write(path, pixels, *options):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels, *options)


def names():
    """Of all slices: P0_1, P0_2, P1_1, ..."""
    return [f"P{patient}_{k + 1}" for patient in range(PATIENTS) for k in range(SLICES)]


def shape_of(number):
    return OTHER_SHAPE if number == 2 else SHAPE


def write_pairs(folder, *, images="images", masks="masks", suffix="", dtype=np.uint8):
    for number, name in enumerate(names()):
        shape = shape_of(number)
        write(folder / images / f"{name}.png", picture(number, shape, dtype))
        write(folder / masks / f"{name}{suffix}.png", mask(number, shape))
    return folder


@pytest.fixture
def pairs(tmp_path):
    """The raw folder of pairs; a test module that takes it gives it its name."""
    return write_pairs(tmp_path / "raw")


def write_classes(folder, classes=("no", "yes")):
    """Patients' pictures take turns over the classes."""
    for number, name in enumerate(names()):
        own = classes[number // SLICES % len(classes)]
        write(folder / own / f"{name}.png", picture(number))
    return folder


def write_nnunet(folder, **changes):
    """Two channels of 8 bits; labels 1 and 2."""
    for number, name in enumerate(names()):
        for channel in range(2):
            path = folder / "imagesTr" / f"{name}_{channel:04d}.png"
            write(path, picture(number + 100 * channel))
        labels = mask(number, value=1)
        labels[10:12, 2:5] = 2
        write(folder / "labelsTr" / f"{name}.png", labels)
    said = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "tumour": 1, "oedema": 2},
        "numTraining": len(names()),
        "file_ending": ".png",
        **changes,
    }
    kept = {key: value for key, value in said.items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(kept))
    return folder


def settings(**changes):
    """The defaults of data.folder, and the patient from the name unless told otherwise."""
    known = base.get_config().data.folder.to_dict()
    assert changes.keys() <= known.keys()
    ways = {"patient", "table", "one_patient_per_file"} & changes.keys()
    return {**known, **({} if ways else {"patient": PATTERN}), **changes}


def build(raw_dir, data_dir, name="folder/mine", skip_bad_files=False, **changes):
    folder = prepare.prepare(
        name,
        data_dir,
        raw_dir,
        skip_bad_files=skip_bad_files,
        settings=settings(**changes),
    )
    return tfds.builder_from_directory(folder)


def examples(builder):
    """Of all splits, by key."""
    return {
        one["key"].decode(): one
        for split in builder.info.splits
        for one in builder.as_data_source(split)
    }


def nothing_is_left(data_dir):
    """Of a data set or its beginning; TFDS's own list of data sets and the lock may be."""
    return not [*data_dir.glob("folder/[!.]*/[!.]*")]
