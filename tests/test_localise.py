"""Where a mask is, by hand: rectangle, disc, L, several parts, the border, nothing."""

import json
import math

import cv2
import numpy as np
import pytest
from scipy import ndimage

from brainseg_jax.inference import localise, outlines
from brainseg_jax.metrics import shapes

CUT = math.sqrt(0.5)  # of a corner between two pixels' middles


def rectangle(height=3, width=4):
    mask = np.zeros((12, 14), np.uint8)
    mask[5 : 5 + height, 2 : 2 + width] = 4
    return mask


def disc(radius, size=64):
    y, x = np.indices((size, size)) - size // 2
    return y**2 + x**2 <= radius**2


def test_a_rectangle():
    (found,) = localise.lesions(rectangle())
    assert found == {
        "pixels": 12,
        "area_pixels": 12,
        # 2 and 3 steps between middles on each side, and four cut corners.
        "perimeter_pixels": round(2 * (2 + 3) + 4 * CUT, 3),
        "diameter_pixels": 5,  # the diagonal of 3 and 4
        "diameter_across_pixels": 3.75,  # 3 * 5 / 4: from one long side to the other
        "box": {"left": 2, "top": 5, "width": 4, "height": 3},
        "centroid": {"x": 3.5, "y": 6},
        "side": "picture left",
    }


def test_a_rectangle_of_pixels_that_are_no_squares():
    (found,) = localise.lesions(rectangle(), (2.0, 0.5))  # 6 mm down, 2 mm across
    assert found["area_mm2"] == 12 and "area_pixels" not in found
    assert found["perimeter_mm"] == round(
        2 * (2 * 2 + 3 * 0.5) + 4 * math.hypot(1, 0.25), 3
    )
    assert found["diameter_mm"] == round(math.hypot(6, 2), 3)
    assert found["diameter_across_mm"] == round(2 * math.hypot(6, 2) / 6, 3)
    assert found["box"]["height"] == 3  # in pixels all the same


@pytest.mark.parametrize("radius", [5, 12, 25])
def test_a_disc(radius):
    (found,) = localise.lesions(disc(radius).astype(np.uint8))
    # From outer edge to outer edge: a pixel wider than between the middles.
    assert found["diameter_pixels"] == pytest.approx(2 * radius + 1, rel=0.04)
    assert found["diameter_across_pixels"] == pytest.approx(2 * radius + 1, rel=0.04)
    assert 1 < found["perimeter_pixels"] / (2 * math.pi * (radius + 0.25)) < 1.09
    assert found["centroid"] == {"x": 32, "y": 32}


def test_an_l():
    mask = np.zeros((9, 9), np.uint8)
    mask[1:7, 1:3] = mask[5:7, 1:5] = 1
    (found,) = localise.lesions(mask)
    assert found["pixels"] == 6 * 2 + 2 * 2
    # 20 along the sides of pixels; each of six corners cuts half a side off both of its.
    assert found["perimeter_pixels"] == round(20 - 6 + 6 * CUT, 3)
    # Between the ends of the arms.
    assert found["diameter_pixels"] == round(math.hypot(6, 4), 3)
    assert found["centroid"] == {
        "x": 1.5 + 0.5,
        "y": round((12 * 3.5 + 4 * 5.5) / 16, 3),
    }


def test_two_parts_come_by_size_and_what_touches_at_a_corner_is_one():
    mask = np.zeros((8, 20), np.uint8)
    mask[1, 1] = mask[2, 2] = 1
    mask[4:7, 15:18] = 2
    found = localise.lesions(mask)
    assert [one["pixels"] for one in found] == [9, 2]
    assert [one["side"] for one in found] == ["picture right", "picture left"]
    row = localise.summary(found)
    assert row["lesions"] == 2 and row["boxes"] == "15 4 3 3;1 1 2 2"
    assert row["side"] == "picture right"
    assert row["centroid"] == f"{(9 * 16 + 2 * 1.5) / 11:.1f} {(9 * 5 + 3) / 11:.1f}"


def test_a_part_at_the_border_is_closed_there():
    mask = np.zeros((6, 7), np.uint8)
    mask[0:3, 4:7] = 1
    (found,) = localise.lesions(mask)
    assert found["perimeter_pixels"] == round(8 + 4 * CUT, 3)
    ring = mask.astype(bool)
    ring[1, 5] = False  # the only pixel with all four neighbours in the mask
    np.testing.assert_array_equal(outlines.edges(mask), ring)


def test_of_nothing_there_is_nothing():
    empty = np.zeros((5, 6), np.uint8)
    assert localise.lesions(empty) == [] and outlines.contours(empty) == []
    row = localise.summary([])
    assert row == {"lesions": 0, "boxes": "", "centroid": "", "side": ""}
    assert shapes.diameters(empty > 0) == (0, 0) and shapes.perimeter(empty > 0) == 0
    assert not outlines.edges(empty).any()


def test_the_perimeter_counts_the_border_of_a_hole():
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    whole = 4 * 4 + 4 * CUT
    assert shapes.perimeter(ring) == pytest.approx(whole + 4 * CUT)


def test_edges_are_the_border_pixels_of_any_mask():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = ndimage.binary_opening(rng.random((30, 31)) < 0.7)
        inner = ndimage.binary_erosion(mask)
        np.testing.assert_array_equal(outlines.edges(mask.astype(int)), mask & ~inner)


def test_contours_run_around_parts_and_holes():
    mask = np.ones((5, 6), np.uint8)
    mask[2, 2:4] = 0
    outer, hole = sorted(outlines.contours(mask), key=lambda one: one["hole"])
    assert not outer["hole"] and len(outer["points"]) == 2 * (4 + 5)
    assert outer["points"][0] == [0, 0] and [5, 4] in outer["points"]  # x, y
    assert hole["hole"] and [2, 1] in hole["points"]


def test_the_middle_is_that_of_the_head():
    image = np.zeros((10, 20, 1), np.uint8)
    image[2:8, 11:18] = 60
    image[4:6, 12:14] = 255  # a tumour, far brighter, is not all of the head
    assert localise.middle_of_head(image) == 14
    image[9, 0] = 200  # beside it
    assert localise.middle_of_head(image) == pytest.approx(14, abs=0.4)
    assert localise.middle_of_head(np.full((4, 7, 3), 5)) == 3
    mask = np.zeros((10, 20), np.uint8)
    mask[4, 12] = 1
    ours = localise.lesions(mask, middle=14, sides=localise.OF_PATIENT)
    assert (
        ours[0]["side"] == "right"
    )  # as on a film: the patient's right is at the left


def test_truth_and_prediction_are_drawn_together(tmp_path):
    image = np.full((12, 14, 1), 90, np.uint16)
    truth = rectangle(4, 4)
    prediction = rectangle()
    found = localise.lesions(prediction)
    said = outlines.write(tmp_path / "a", image, prediction, found, truth)
    assert json.loads((tmp_path / "a_contours.json").read_text()) == said
    assert len(said["contours"]) == len(said["true_contours"]) == 1
    picture = cv2.imread(str(tmp_path / "a_contours.png"))[..., ::-1]
    assert picture.shape == (12, 14, 3)
    assert tuple(picture[5, 2]) == outlines.BOTH  # of both borders
    assert tuple(picture[7, 3]) == outlines.PREDICTION  # the truth goes on below
    assert tuple(picture[8, 3]) == outlines.TRUTH
    assert len(set(picture[0, 0])) == 1  # grey elsewhere
