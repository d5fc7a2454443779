"""Synthetic slices of the figshare set: the publisher's layout, three kinds of tumour."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from scipy import ndimage

from datasets.synthetic import enhanced, phantom
from tests import small_slices

SIZE, PLANES = 128, 3


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    return phantom.write_figshare(folder, patients=3, slices=1, size=SIZE)


def slices(tree):
    """Image, mask, border and label by number, turned as they are looked at."""
    return {
        int(path.stem): (
            small_slices.read(path, "image").T,
            small_slices.read(path, "tumorMask").T > 0,
            small_slices.read(path, "tumorBorder").reshape(-1, 2),
            int(small_slices.read(path, "label").item()),
        )
        for path in tree.glob("[0-9]*.mat")
    }


def test_the_layout_is_the_publishers(tree):
    names = sorted(path.name for path in tree.iterdir())
    assert names == sorted([*(f"{n}.mat" for n in range(1, 10)), "cvind.mat"])
    for path in tree.iterdir():
        assert path.read_bytes().startswith(b"MATLAB 7.3 MAT-file")
    assert small_slices.read(tree / "1.mat", "PID").shape == (len("PHANTOM0001"), 1)
    assert small_slices.read(tree / "1.mat", "label").shape == (1, 1)
    assert small_slices.read(tree / "1.mat", "tumorBorder").ndim == 2


def test_pixels_have_the_publishers_types_and_both_sizes(tree):
    for number, (image, mask, _, label) in slices(tree).items():
        assert image.dtype == np.int16 and image.min() >= 0 and image.max() > 255
        assert image.shape == mask.shape == (SIZE // (1 + (label == 3)),) * 2
        assert label == (number - 1) % 3 + 1 and mask.any()


def test_the_mask_is_what_the_border_encloses(tree):
    for _, mask, border, _ in slices(tree).values():
        filled = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(filled, [np.rint(border - 1).astype(np.int32)], 1)
        np.testing.assert_array_equal(filled > 0, mask)


def test_a_patient_depends_on_the_seed_and_its_place_alone(tree, tmp_path):
    alone = slices(phantom.write_figshare(tmp_path, patients=1, slices=1, size=SIZE))
    among_three = slices(tree)
    for run in range(PLANES):
        image, mask, *_ = alone[run + 1]
        np.testing.assert_array_equal(image, among_three[3 * run + 1][0])
        np.testing.assert_array_equal(mask, among_three[3 * run + 1][1])


@pytest.fixture(scope="module")
def axial():
    """Slices of several patients of each kind."""
    made = {}
    for kind in enhanced.KINDS:
        made[kind] = []
        for number in range(4):
            rng = np.random.default_rng([3, number])
            tumour = enhanced.draw_tumour(rng, kind)
            made[kind] += enhanced.make_series(rng, tumour, "axial", 1, 256)
    return made


def brightness(one):
    """Of the tumour, as a share of what lies around it within the head."""
    around = ndimage.binary_dilation(one.mask, iterations=12) & ~one.mask
    head = around & (one.image > np.percentile(one.image, 99) / 10)
    return np.median(one.image[one.mask]) / np.median(one.image[head])


def test_kinds_differ_in_brightness_and_size(axial):
    bright = {kind: [brightness(one) for one in made] for kind, made in axial.items()}
    assert min(bright["meningioma"]) > 1.2 and np.median(bright["pituitary"]) > 1.2
    assert np.median(bright["glioma"]) < 1.1
    area = {
        kind: np.median([o.mask.sum() for o in made]) for kind, made in axial.items()
    }
    assert area["pituitary"] < area["meningioma"] and area["pituitary"] < area["glioma"]


def test_pituitary_tumours_lie_in_the_midline_and_meningiomas_off_it(axial):
    def off_middle(one):
        inside = ndimage.binary_fill_holes(
            one.image > np.percentile(one.image, 99) / 10
        )
        return abs(np.nonzero(one.mask)[1].mean() - np.nonzero(inside)[1].mean())

    apart = {kind: np.median([*map(off_middle, made)]) for kind, made in axial.items()}
    assert apart["pituitary"] < 12 < apart["meningioma"]


def test_bad_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="0 patients"):
        phantom.write_figshare(tmp_path, patients=0)


@pytest.mark.slow
def test_command_line(tmp_path):
    command = [sys.executable, "-m", "datasets.synthetic.phantom", str(tmp_path)]
    options = ["--set=figshare", "--patients=1", "--slices=1"]
    subprocess.run([*command, *options], check=True)
    assert len([*tmp_path.rglob("*.mat")]) == PLANES + 1
