"""Grids: turned to RAS, cropped, and back in the file's own order, voxel by voxel."""

import nibabel
import numpy as np
import pytest

from datasets import grids
from tests import small_cases


@pytest.mark.parametrize("axes", small_cases.AXES)
def test_every_orientation_is_stored_as_nibabels_canonical_one_and_comes_back(axes):
    image = small_cases.oriented(small_cases.parts_of(3)["t1"], axes)
    voxels = np.asanyarray(image.dataobj)
    whole, place = grids.to_stored(voxels, image.affine)
    canonical = nibabel.as_closest_canonical(image)
    np.testing.assert_array_equal(
        whole, np.asanyarray(canonical.dataobj).transpose(2, 1, 0)
    )
    np.testing.assert_array_equal(place.affine, canonical.affine)
    assert place.axes == axes and place.spacing == (2.5, 1.5, 1.0)
    box = grids.foreground_box(whole)
    cropped = place._replace(offset=tuple(one.start for one in box))
    np.testing.assert_array_equal(grids.to_file(whole[box], cropped), voxels)
    np.testing.assert_allclose(grids.file_affine(cropped), image.affine, atol=1e-12)


def test_an_oblique_grid_is_turned_by_right_angles_alone():
    turn = np.eye(4)
    angle = np.deg2rad(20)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    straight = small_cases.oriented(small_cases.parts_of(1)["t2"], "PSR")
    image = nibabel.Nifti1Image(straight.dataobj, turn @ straight.affine)
    whole, place = grids.to_stored(np.asanyarray(image.dataobj), image.affine)
    canonical = nibabel.as_closest_canonical(image)
    np.testing.assert_array_equal(place.affine, canonical.affine)
    np.testing.assert_array_equal(
        grids.to_file(whole, place), np.asanyarray(image.dataobj)
    )
    np.testing.assert_allclose(grids.file_affine(place), image.affine, atol=1e-12)


def test_the_box_by_hand():
    one, other = np.zeros((4, 5, 6)), np.zeros((4, 5, 6), bool)
    one[1, 2, 3] = -1  # what is not 0 is foreground, below 0 too
    other[2, 2, 5] = True
    assert grids.foreground_box(one, other) == (slice(1, 3), slice(2, 3), slice(3, 6))
    assert grids.foreground_box(0 * one) == (slice(0, 1),) * 3


def test_uncropping_by_hand():
    part = np.array([[[1, 2]], [[3, 4]]])  # of shape (2, 1, 2)
    whole = grids.uncrop(part, (0, 1, 0), (2, 2, 3), fill=9)
    np.testing.assert_array_equal(
        whole, [[[9, 9, 9], [1, 2, 9]], [[9, 9, 9], [3, 4, 9]]]
    )


def test_channels_stay_last_on_the_way_back():
    image = small_cases.oriented(small_cases.parts_of(2)["t1"], "SAR")
    voxels = np.asanyarray(image.dataobj)
    whole, place = grids.to_stored(voxels, image.affine)
    both = grids.to_file(np.stack([whole, -whole], axis=-1), place)
    np.testing.assert_array_equal(both, np.stack([voxels, -voxels], axis=-1))
