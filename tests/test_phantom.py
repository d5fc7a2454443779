"""Synthetic heads: the publisher's layout, from the seed, with what makes them hard."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile

from datasets.synthetic import phantom


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return phantom.write_lgg(tmp_path_factory.mktemp("raw"), patients=6, slices=4)


def pixels(tree):
    files = sorted(tree.rglob("*.tif"))
    return {file.relative_to(tree).as_posix(): tifffile.imread(file) for file in files}


def test_the_layout_is_the_publishers(tree):
    folder = tree / "TCGA_DU_PHANTOM0001_20000101"
    names = sorted(file.name for file in folder.iterdir())
    numbers = range(1, 5)
    stem = folder.name
    assert names == sorted(
        [f"{stem}_{n}.tif" for n in numbers] + [f"{stem}_{n}_mask.tif" for n in numbers]
    )
    assert len({path.name.split("_")[1] for path in tree.glob("TCGA_*")}) >= 3


def test_pixels_have_the_publishers_type_and_values(tree):
    for name, array in pixels(tree).items():
        assert array.dtype == np.uint8
        if name.endswith("_mask.tif"):
            assert array.shape == (256, 256) and set(np.unique(array)) <= {0, 255}
        else:
            assert array.shape == (256, 256, 3)


def test_every_patient_has_slices_with_and_without_tumour(tree):
    for folder in tree.glob("TCGA_*"):
        found = [tifffile.imread(f).any() for f in sorted(folder.glob("*_mask.tif"))]
        assert any(found) and not all(found)


@pytest.mark.parametrize("slices", [1, 2])
def test_few_slices_show_a_tumour(slices):
    subject = phantom.make_subject(np.random.default_rng(0), slices)
    assert len(subject.masks) == slices and subject.masks.any()


def test_a_patient_depends_on_the_seed_and_its_number_alone(tree, tmp_path):
    alone = pixels(phantom.write_lgg(tmp_path / "a", patients=2, slices=4))
    among_six = pixels(tree)
    assert len(alone) == 16
    for name, array in alone.items():
        np.testing.assert_array_equal(array, among_six[name])
    other = pixels(phantom.write_lgg(tmp_path / "b", patients=1, slices=4, seed=1))
    assert any((array != among_six[name]).any() for name, array in other.items())


def test_slices_can_vary(tmp_path):
    tree = phantom.write_lgg(tmp_path, patients=5, slices=(3, 6))
    counts = {len(list(folder.glob("*_mask.tif"))) for folder in tree.glob("TCGA_*")}
    assert counts <= {3, 4, 5, 6} and len(counts) > 1


@pytest.fixture(scope="module")
def subjects():
    return [phantom.make_subject(np.random.default_rng([7, n]), 12) for n in range(6)]


def test_about_half_of_the_slices_are_without_tumour(subjects):
    share = np.mean([one.masks.any((1, 2)).mean() for one in subjects])
    assert 0.25 < share < 0.6


def test_the_tumour_lies_inside_the_head(subjects):
    for one in subjects:
        # Outside the head there is only noise, under 20 of 255.
        flair = one.images[..., 1]
        background = np.median(flair[:, :8, :8])
        assert np.median(flair[one.masks]) > 2 * background


def test_no_threshold_on_flair_finds_the_tumour(subjects):
    """Scalp, caps and dark cores see to it: the best threshold stays below Dice 0.5."""

    def dice(one, threshold):
        found = one.images[..., 1] > threshold
        both = 2 * (found & one.masks).sum()
        return both / (found.sum() + one.masks.sum())

    best = [max(dice(one, t) for t in range(10, 250, 10)) for one in subjects]
    assert np.mean(best) < 0.5


def test_bad_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="0 patients"):
        phantom.write_lgg(tmp_path, patients=0)


@pytest.mark.slow
def test_command_line(tmp_path):
    command = [sys.executable, "-m", "datasets.synthetic.phantom", str(tmp_path)]
    subprocess.run([*command, "--patients=1", "--slices=3-3"], check=True)
    assert len(list(tmp_path.rglob("*_mask.tif"))) == 3
