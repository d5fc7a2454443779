"""Small NIfTI files in the layout of BraTS 2021, quickly made, oriented in any way."""

import itertools

import nibabel
import numpy as np
import tensorflow_datasets as tfds
from nibabel import orientations

from datasets import prepare

SHAPE = (9, 8, 7)  # of a file turned to RAS, x first: all axes differ
PARTS = ("flair", "t1", "t1ce", "t2", "seg")
SPACING = (1.0, 1.5, 2.5)
AXES = [
    "".join(signs[axis] for axis in order)
    for order in itertools.permutations(range(3))
    for signs in itertools.product("LR", "PA", "IS")
]


def name_of(number):
    return f"BraTS2021_PHANTOM{number:04d}"


def parts_of(number, enhances=True):
    """Four sequences and a mask [x y z]: zeros all around a box of noise with a tumour."""
    rng = np.random.default_rng(number)
    images = {name: np.zeros(SHAPE, np.int16) for name in PARTS[:-1]}
    for image in images.values():
        image[2:-1, 1:-2, 1:-1] = rng.integers(5, 2000, (6, 5, 5))
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:6, 2:5, 2:4] = 2
    mask[3:5, 2 : 3 + number % 3, 2] = 1
    mask[4, 3, 3] = 4 if enhances else 1
    return {**images, "seg": mask}


def oriented(voxels, axes="LPS", spacing=SPACING, origin=(-10.0, 20.0, 5.5)):
    """A nibabel image of voxels [x y z] that are turned so that its axes point so."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(axes)
    )
    turned = orientations.apply_orientation(voxels, turn)
    back = orientations.inv_ornt_aff(turn, voxels.shape)
    return nibabel.Nifti1Image(turned, affine @ back)


def write_case(tree, number, axes="LPS", enhances=True, **others):
    """A folder with a case's five files; `others` are images in the place of parts."""
    folder = tree / name_of(number)
    folder.mkdir(parents=True, exist_ok=True)
    for part, voxels in parts_of(number, enhances).items():
        image = others.get(part, oriented(voxels, axes))
        image.to_filename(folder / f"{folder.name}_{part}.nii.gz")
    return folder


def write_tree(tree, cases=6):
    """Cases oriented in different ways; the third and sixth do not enhance."""
    for number in range(1, cases + 1):
        axes = AXES[11 * number % len(AXES)]
        write_case(tree, number, axes, enhances=number % 3 > 0)
    return tree


def build(raw_dir, data_dir, variant="phantom", **options):
    folder = prepare.prepare(f"brats2021/{variant}", data_dir, raw_dir, **options)
    return tfds.builder_from_directory(folder)


def examples(builder):
    """All stored cases by key."""
    sources = [builder.as_data_source(split) for split in builder.info.splits]
    return {one["key"].decode(): one for source in sources for one in source}


def nothing_is_left(data_dir):
    """Of a data set or its beginning; TFDS's own list of data sets and the lock may be."""
    return not [*data_dir.glob("brats2021/[!.]*/[!.]*")]
