"""Ratios against scikit-learn, laws that hold for all masks, every empty-mask policy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from brainseg_jax.metrics import overlap

RATIOS = (
    overlap.dice,
    overlap.iou,
    overlap.precision,
    overlap.recall,
    overlap.specificity,
)
AGREE = {"empty": "one"}
masks = arrays.arrays(bool, (2, 3, 4, 2))
every_ratio = pytest.mark.parametrize("ratio", RATIOS, ids=lambda f: f.__name__)


def _accuracy(counts, empty):
    """Which knows no empty masks: it always counts some pixels."""
    return overlap.accuracy(counts)


def counted(tp, fp, fn, tn):
    """Counts of one example and one class."""
    return overlap.Counts(*(np.array([[count]]) for count in (tp, fp, fn, tn)))


def numpy_counts(pred, truth):
    return jax.tree.map(np.asarray, overlap.counts(pred, truth))


def make_masks(shape=(3, 9, 8, 2), seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(shape) < 0.4, rng.random(shape) < 0.3


def test_counts_worked_out_by_hand():
    # First class: one pixel of each kind. Second: predicted everywhere, there nowhere.
    pred = np.array([[[1, 1], [1, 1], [0, 1], [0, 1]]], bool)
    truth = np.array([[[1, 0], [0, 0], [1, 0], [0, 0]]], bool)
    assert [part.tolist() for part in overlap.counts(pred, truth)] == [
        [[1, 0]],
        [[1, 4]],
        [[1, 0]],
        [[1, 0]],
    ]


def test_ratios_worked_out_by_hand():
    counts = counted(tp=6, fp=2, fn=4, tn=88)
    expected = {
        overlap.dice: 12 / 18,
        overlap.iou: 6 / 12,
        overlap.precision: 6 / 8,
        overlap.recall: 6 / 10,
        overlap.specificity: 88 / 90,
    }
    assert overlap.accuracy(counts).item() == 94 / 100
    for ratio, value in expected.items():
        assert ratio(counts, **AGREE).item() == pytest.approx(value, rel=1e-12)
    # 6 / (6 + 0.3 * 2 + 0.7 * 4)
    tversky = overlap.tversky(counts, alpha=0.3, beta=0.7, **AGREE)
    assert tversky.item() == pytest.approx(6 / 9.4, rel=1e-12)


def test_ratios_equal_scikit_learns():
    pred, truth = make_masks()
    counts = numpy_counts(pred, truth)
    reference = {
        overlap.dice: sklearn.metrics.f1_score,
        overlap.iou: sklearn.metrics.jaccard_score,
        overlap.precision: sklearn.metrics.precision_score,
        overlap.recall: sklearn.metrics.recall_score,
        _accuracy: sklearn.metrics.accuracy_score,
    }
    for ratio, score in reference.items():
        expected = [
            [score(truth[i, ..., c].ravel(), pred[i, ..., c].ravel()) for c in range(2)]
            for i in range(3)
        ]
        np.testing.assert_allclose(ratio(counts, **AGREE), expected, rtol=1e-12)


def test_counts_and_ratios_work_inside_jit():
    pred, truth = make_masks()
    inside = jax.jit(lambda *masks: overlap.dice(overlap.counts(*masks), **AGREE))(
        pred, truth
    )
    assert isinstance(inside, jax.Array)
    outside = overlap.dice(numpy_counts(pred, truth), **AGREE)
    assert isinstance(outside, np.ndarray) and outside.dtype == np.float64
    np.testing.assert_allclose(inside, outside, rtol=1e-6)


def test_every_dimension_between_example_and_class_is_counted():
    pred, truth = make_masks((2, 3, 4, 5, 2))
    volume = overlap.counts(pred, truth)
    flat = overlap.counts(pred.reshape(2, -1, 2), truth.reshape(2, -1, 2))
    np.testing.assert_array_equal(np.stack(volume), np.stack(flat))
    np.testing.assert_array_equal(sum(volume), np.full((2, 2), 3 * 4 * 5))


def test_counts_of_a_whole_brats_volume_are_exact():
    # 240 * 240 * 155 = 8,928,000 voxels, all but one: a float32 sum of ones is exact up
    # to 2 ** 24 only, and doubling hits or adding the four parts goes beyond that.
    pred = jnp.ones((2, 240, 240, 155, 1), bool)
    truth = pred.at[:, 0, 0, 0].set(False)
    counts = numpy_counts(pred, truth)
    assert counts.true_positives.tolist() == [[8_927_999]] * 2
    assert counts.false_positives.tolist() == [[1]] * 2
    total = overlap.Counts(*(part.sum(0, keepdims=True) for part in counts))
    exact = 2 * 17_855_998 / (2 * 17_855_998 + 2)
    assert overlap.dice(total, **AGREE).item() == pytest.approx(exact, rel=1e-15)


@every_ratio
@pytest.mark.parametrize(
    "policy, value", [("one", 1), ("zero", 0), ("nan", np.nan), ("brats2021", 1)]
)
def test_two_empty_masks_give_what_the_policy_names(ratio, policy, value):
    # For specificity it is the background that is empty in both.
    full = overlap.specificity is ratio
    counts = counted(tp=9 * full, fp=0, fn=0, tn=9 * (not full))
    np.testing.assert_equal(ratio(counts, empty=policy).item(), value)


@every_ratio
@pytest.mark.parametrize("policy", overlap.EMPTY)
def test_one_empty_mask_gives_zero_under_every_policy(ratio, policy):
    missed, invented = counted(0, 0, 5, 0), counted(0, 5, 0, 0)
    assert ratio(missed, empty=policy).item() == 0
    assert ratio(invented, empty=policy).item() == 0


def test_a_perfect_prediction_without_background_is_not_an_empty_mask():
    counts = counted(tp=9, fp=0, fn=0, tn=0)
    for ratio in (overlap.dice, overlap.iou, overlap.precision, overlap.recall):
        assert ratio(counts, empty="nan").item() == 1


@every_ratio
def test_an_unknown_policy_is_refused(ratio):
    with pytest.raises(ValueError, match="there are: one, zero, nan"):
        ratio(counted(1, 1, 1, 1), empty="skip")


def test_masks_of_two_sizes_are_refused():
    pred, truth = np.zeros((1, 4, 4, 1), bool), np.zeros((1, 8, 8, 1), bool)
    with pytest.raises(ValueError, match="resize the probabilities"):
        overlap.counts(pred, truth)


@settings(deadline=None)
@given(masks, masks)
def test_all_ratios_lie_between_zero_and_one(pred, truth):
    counts = numpy_counts(pred, truth)
    for ratio in (*RATIOS, _accuracy):
        found = ratio(counts, **AGREE)
        assert ((found >= 0) & (found <= 1)).all()


@settings(deadline=None)
@given(masks, masks)
def test_dice_and_iou_follow_from_each_other(pred, truth):
    counts = numpy_counts(pred, truth)
    iou = overlap.iou(counts, **AGREE)
    np.testing.assert_allclose(
        overlap.dice(counts, **AGREE), 2 * iou / (1 + iou), rtol=1e-12
    )


@settings(deadline=None)
@given(masks, masks)
def test_swapping_the_masks_swaps_precision_and_recall(pred, truth):
    there, back = numpy_counts(pred, truth), numpy_counts(truth, pred)
    np.testing.assert_array_equal(
        overlap.dice(there, **AGREE), overlap.dice(back, **AGREE)
    )
    np.testing.assert_array_equal(
        overlap.iou(there, **AGREE), overlap.iou(back, **AGREE)
    )
    np.testing.assert_array_equal(
        overlap.precision(there, **AGREE), overlap.recall(back, **AGREE)
    )


@settings(deadline=None)
@given(masks, masks)
def test_specificity_is_the_recall_of_the_complement(pred, truth):
    np.testing.assert_array_equal(
        overlap.specificity(numpy_counts(pred, truth), **AGREE),
        overlap.recall(numpy_counts(~pred, ~truth), **AGREE),
    )


@settings(deadline=None)
@given(masks, st.floats(0, 2), st.floats(0, 2))
def test_tversky_of_a_mask_with_itself_is_one(mask, alpha, beta):
    counts = numpy_counts(mask, mask)
    assert (overlap.tversky(counts, alpha=alpha, beta=beta, **AGREE) == 1).all()
