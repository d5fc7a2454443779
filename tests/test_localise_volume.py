"""Lesions of scans by hand, in any orientation."""

from types import SimpleNamespace

import numpy as np
import pytest
from nibabel import orientations

from brainseg_jax.data.scans import Scan
from brainseg_jax.inference import localise_volume
from brainseg_jax.modes import localise


def scan_of(axes, spacing=(3.0, 2.0, 1.0)):
    """A head of 10 x 12 x 20 voxels, z y x, whose file has such axes."""
    image = np.zeros((10, 12, 20, 1), np.int16)
    image[1:-1, 2:-2, 4:19] = 500  # from column 4 to 18: 11 is the middle
    ras = np.diag([*spacing[::-1], 1.0])
    ras[:3, 3] = (-10, -20, 30)
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt("RAS"), orientations.axcodes2ornt(axes)
    )
    affine = ras @ orientations.inv_ornt_aff(turn, (20, 12, 10))
    shape = orientations.apply_orientation(np.zeros((20, 12, 10)), turn).shape
    return Scan(image, spacing, shape, affine, None)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PSR"])
def test_two_lesions_of_a_scan_of_any_orientation(axes):
    labels = np.zeros((10, 12, 20), np.uint8)
    labels[2:4, 3:6, 5:9] = 1  # 2 x 3 x 4 voxels, on the patient's left
    labels[3, 5, 8] = 4  # of whatever label
    labels[7, 8, 15] = 2
    large, small = localise_volume.lesions(labels, scan_of(axes))
    assert (large["voxels"], small["voxels"]) == (24, 1)
    assert large["ml"] == round(24 * 6 / 1000, 4)
    assert (large["side"], small["side"]) == ("left", "right")
    # A slice of 3 x 4 voxels, each 2 mm by 1 mm.
    assert large["largest_slice_mm2"] == 24
    assert large["diameter_mm"] == round(np.hypot(6, 4), 3)
    # Middles of voxels 6.5, 4 and 2.5, wherever the file's axes point.
    assert large["centroid"] == {"x": -10 + 6.5, "y": -20 + 8, "z": 30 + 7.5}
    sizes = {"R": 4, "L": 4, "A": 3, "P": 3, "S": 2}
    assert [large["box"][f"size_{k}"] for k in "ijk"] == [sizes[end] for end in axes]


def test_the_box_is_of_the_files_voxels():
    labels = np.zeros((10, 12, 20), np.uint8)
    labels[2:4, 3:6, 5:9] = 1
    (found,) = localise_volume.lesions(labels, scan_of("LPS"))
    # Turned: 20 - 9, 12 - 6, and z as it was.
    assert [found["box"][k] for k in "ijk"] == [11, 6, 2]


def test_an_empty_mask_has_none():
    scan = scan_of("RAS")
    assert localise_volume.lesions(np.zeros((10, 12, 20), np.uint8), scan) == []


def test_a_prepared_volume_is_localised_on_the_plane_with_most_tumour(tmp_path):
    image, *_ = scan_of("RAS")
    truth = np.zeros((10, 12, 20, 1), np.uint8)
    truth[6, 3:6, 5:9] = 1  # 3 x 4 pixels of 2 x 1 mm, on the patient's left
    truth[2, 3, 5] = 1
    source = SimpleNamespace(
        info=SimpleNamespace(dimensions=3),
        keys=["a"],
        patients=["P1"],
        spacings=[(3.0, 2.0, 1.0)],
        read_stored=lambda place: (image, truth),
    )
    (row,) = localise._of_example(source, 0, np.zeros_like(truth), tmp_path)
    assert (row["of"], row["plane"], row["side"]) == ("true", 6, "left")
    assert row["area_mm2"] == 3 * 4 * 2
    # The front above, the left on the right: rows 3 to 5 of 12 end at 8, columns at 14.
    assert (row["box_left"], row["box_top"]) == (20 - 9, 12 - 6)
