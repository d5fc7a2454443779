"""Surface distances against SciPy and surface-distance, on every pair of small masks."""

import math
import warnings

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import precision_recall_fscore_support

from brainseg_jax.metrics import empty_masks, lesions, overlap, surface_distances
from tests import mask_pairs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its invalid escape sequences
    import surface_distance

PAIRS = mask_pairs.all_pairs()
FILLED = [pair for pair in PAIRS if pair[0].any() and pair[1].any()]
MM = 1e-4  # what may be lost in 32 bits


def score(pred, truth, spacing, convention, tolerance=1.0, empty="one"):
    return surface_distances.score(
        pred, truth, spacing, convention=convention, tolerance=tolerance, empty=empty
    )


def scipys(pred, truth, spacing):
    """Distances from each border to the other, as medpy and MONAI take them."""
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (truth, pred)]
    far = [ndimage.distance_transform_edt(~one, spacing) for one in borders]
    return far[1][borders[0]], far[0][borders[1]]


def test_there_are_more_than_three_hundred_pairs():
    assert len(PAIRS) == 2 * (132 + 36) and len(FILLED) > 300


@pytest.mark.parametrize("convention", ["max_directed", "pooled"])
def test_distances_of_border_voxels_are_scipys(convention):
    for pred, truth, spacing in FILLED:
        there, back = scipys(pred, truth, spacing)
        both = np.concatenate([there, back])
        expected = (
            np.percentile(both, 95)
            if convention == "pooled"
            else max(np.percentile(there, 95), np.percentile(back, 95))
        )
        found = score(pred, truth, spacing, convention)
        assert abs(found.hd95 - expected) < MM
        assert abs(found.assd - both.mean()) < MM
        assert abs(found.nsd - (both <= 1).mean()) < 1e-6


@pytest.mark.filterwarnings("ignore")
def test_distances_of_surface_elements_are_those_of_surface_distance():
    for pred, truth, spacing in FILLED:
        theirs = surface_distance.compute_surface_distances(truth, pred, spacing)
        there, back = theirs["distances_gt_to_pred"], theirs["distances_pred_to_gt"]
        areas = theirs["surfel_areas_gt"], theirs["surfel_areas_pred"]
        total = (there * areas[0]).sum() + (back * areas[1]).sum()
        found = score(pred, truth, spacing, "area_weighted")
        expected = surface_distance.compute_robust_hausdorff(theirs, 95)
        assert abs(found.hd95 - expected) < MM
        assert abs(found.assd - total / (areas[0].sum() + areas[1].sum())) < MM
        near = surface_distance.compute_surface_dice_at_tolerance(theirs, 1.0)
        assert abs(found.nsd - near) < 1e-6


def test_overlap_of_the_same_masks_is_scikit_learns():
    for pred, truth, _ in PAIRS:
        counts = overlap.counts(pred[None, ..., None], truth[None, ..., None])
        counts = overlap.Counts(*map(np.asarray, counts))
        precision, recall, dice = np.ones(3)
        if truth.any() or pred.any():
            precision, recall, dice, _ = precision_recall_fscore_support(
                truth.ravel(), pred.ravel(), average="binary", zero_division=0
            )
        for ratio, expected in [
            (overlap.precision, precision),
            (overlap.recall, recall),
            (overlap.dice, dice),
            (overlap.iou, dice / (2 - dice)),
        ]:
            assert abs(ratio(counts, empty="one").item() - expected) < 1e-6


def test_two_boxes_by_hand():
    # 4 x 4 pixels, and the same moved by 2 of 0.5 mm: a border has 12 pixels.
    truth = np.zeros((12, 12), bool)
    truth[2:6, 2:6] = True
    pred = np.roll(truth, 2, 1)
    found = score(pred, truth, (0.5, 0.5), "max_directed", tolerance=0.5)
    # Of the truth column 2 lies 2 pixels from the prediction's first, column 4; the ends of
    # column 3 lie 1 from it; the ends of 4 and 5 are border of both, and what lies between
    # those of column 5 is 1 from them or from column 4. From the prediction it is the same.
    pixels = np.array([2, 2, 2, 2, 1, 1, 0, 0, 0, 0, 1, 1])
    assert found.hd95 == 1.0
    assert found.assd == pytest.approx(0.5 * pixels.mean())
    assert found.nsd == pytest.approx((pixels <= 1).mean())


def test_the_conventions_differ():
    rng = np.random.default_rng(3)
    truth = ndimage.gaussian_filter(rng.random((16, 16, 16)), 3) > 0.5
    pred = ndimage.gaussian_filter(rng.random((16, 16, 16)), 3) > 0.5
    known = surface_distances.CONVENTIONS
    hd95 = [score(pred, truth, (1.0, 1.0, 5.0), name).hd95 for name in known]
    assert len({round(value, 3) for value in hd95}) == len(known) == 3


@pytest.mark.parametrize("convention", surface_distances.CONVENTIONS)
@pytest.mark.parametrize(
    "policy, both, one_sided",
    [
        ("one", (0, 1), 5),
        ("zero", (5, 0), 5),
        ("nan", (math.nan, math.nan), math.nan),
        ("brats2021", (0, 1), 373.13),
        ("brats2023", (0, 1), 374),
        ("brats2026", (math.nan, math.nan), 373),
    ],
)
def test_empty_masks_by_every_policy(policy, both, one_sided, convention):
    # The diagonal of 3 x 4 pixels is 5.
    empty, full = np.zeros((3, 4), bool), np.ones((3, 4), bool)
    for pred, truth in [(empty, full), (full, empty)]:
        found = score(pred, truth, (1.0, 1.0), convention, empty=policy)
        np.testing.assert_equal(found, (one_sided, one_sided, 0))
    found = score(empty, empty, (1.0, 1.0), convention, empty=policy)
    np.testing.assert_equal(found, (both[0], both[0], both[1]))


def test_the_diagonal_of_brats_is_its_number():
    far = empty_masks.distance(
        "one", both=False, shape=(240, 240, 155), spacing=(1, 1, 1)
    )
    assert round(far, 2) == empty_masks.POLICIES["brats2021"].one_sided


def test_unknown_names_and_unlike_masks_are_refused():
    mask = np.ones((3, 3), bool)
    with pytest.raises(ValueError, match="No convention 'hd' .* max_directed, pooled"):
        score(mask, mask, (1.0, 1.0), "hd")
    with pytest.raises(ValueError, match="No policy 'skip' .* one, zero"):
        score(mask, mask, (1.0, 1.0), "pooled", empty="skip")
    with pytest.raises(ValueError, match=r"shape \(3, 3\), the truth \(2, 3\)"):
        score(mask, mask[:2], (1.0, 1.0), "pooled")


def naive_lesions(pred, truth, grown, least):
    """One lesion after the other on the whole volume, as the challenge's own code goes."""
    structure, corners = ndimage.generate_binary_structure(3, 2), np.ones((3, 3, 3))
    dilated = ndimage.binary_dilation(truth, structure, iterations=grown)
    groups, count = ndimage.label(dilated, corners)
    parts, _ = ndimage.label(pred, corners)
    dice, matched, found = [], set(), 0
    for number in range(1, count + 1):
        own = truth & (groups == number)
        reach = ndimage.binary_dilation(own, structure, iterations=grown)
        met = set(np.unique(parts[reach])) - {0}
        matched |= met
        mine = np.isin(parts, list(met))
        if own.sum() > least:
            found += bool(met)
            dice.append(2 * (mine & own).sum() / (mine.sum() + own.sum()))
    invented = len(set(np.unique(parts)) - {0} - matched)
    total = len(dice) + invented
    return sum(dice) / total, 2 * found / (found + len(dice) + invented)


@pytest.mark.parametrize("grown, least", [(3, 50), (1, 2)])
def test_lesions_are_matched_as_one_by_one(grown, least):
    rng = np.random.default_rng(0)
    for _ in range(10):
        pair = [
            ndimage.gaussian_filter(rng.random((24, 24, 24)), 1.5) > level
            for level in (0.57, 0.56)
        ]
        found = lesions.score(*pair, 1.0, empty="one", grown=grown, least=least)
        assert (found.dice, found.f1) == pytest.approx(
            naive_lesions(*pair, grown, least)
        )


def test_lesions_by_hand():
    truth, pred = np.zeros((2, 20, 30, 30), bool)
    truth[2:6, 2:6, 2:6] = True  # 64 voxels, found whole and 16 more
    pred[2:6, 2:6, 2:7] = True
    truth[2:6, 2:6, 20:24] = True  # 64, missed
    truth[15, 15, 15] = True  # too small to count
    pred[15, 25, 25] = True  # one that is not there
    found = lesions.score(pred, truth, 1.0, empty="one")
    # Dice of the first 128 / 144; three things to score: it, the missed, the invented.
    assert found == (pytest.approx(128 / 144 / 3), 2 / 4, 1, 1, 1)
    # Of half the size no lesion exceeds 50 mm³, and one part is invented.
    small = lesions.score(pred, truth, 0.5, empty="one")
    assert small == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("policy, value", [("one", 1), ("nan", math.nan), ("zero", 0)])
def test_without_lesions_the_policy_scores(policy, value):
    empty = np.zeros((5, 5, 5), bool)
    found = lesions.score(empty, empty, 1.0, empty=policy)
    np.testing.assert_equal(found, (value, value, 0, 0, 0))


def test_volume_difference_by_hand():
    counts = [[10], [0], [0]], [[2], [3], [0]], [[5], [0], [0]], [[9], [9], [9]]
    found = overlap.volume_difference(overlap.Counts(*map(np.array, counts)))
    np.testing.assert_equal(found, [[(12 - 15) / 15], [math.nan], [0]])
