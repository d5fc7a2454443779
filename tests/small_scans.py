"""Small NIfTI scans, and a net whose marks on them are known beforehand."""

import functools
import itertools

import nibabel
import numpy as np
import pytest
from flax import linen as nn
from nibabel import orientations

from brainseg_jax.data import info as data_info
from brainseg_jax.runs import experiment, scan_labels
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
