"""Dice of masks by the label of whole slices, worked out by hand."""

import math

import numpy as np
import pytest

from brainseg_jax.metrics import dice_by_label
from brainseg_jax.metrics.overlap import Counts

NAMES = ("glioma", "no tumour", "pituitary")


def counts(tp, fp, fn):
    return Counts(*(np.array(part) for part in (tp, fp, fn, np.ones_like(tp))))


def summarise(slices, labels, patients, classes, **options):
    return dice_by_label.summarise(
        slices,
        np.array(labels),
        patients,
        names=NAMES,
        classes=classes,
        empty="one",
        **options,
    )


def test_slices_and_patients_of_each_label_are_scored_by_themselves():
    # Dice of the slices: 2/(2+1) for glioma of patient a, twice; 0 of b; 1 of c.
    slices = counts([[1], [3], [0], [5]], [[1], [0], [0], [0]], [[0], [3], [2], [0]])
    summary = summarise(slices, [0, 0, 0, 2], ["a", "a", "b", "c"], ["tumour"])
    assert summary["slice_dice_of_glioma"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    # Patient a: 4 hits, 1 false positive, 3 misses: 8 / 12.
    assert summary["patient_dice_of_glioma"] == pytest.approx((8 / 12 + 0) / 2)
    assert summary["patient_dice_of_glioma_low"] == 0
    assert summary["patient_dice_of_glioma_high"] == pytest.approx(8 / 12)
    assert summary["patient_dice_of_pituitary"] == 1
    assert math.isnan(summary["slice_dice_of_no_tumour"])
    assert summary.keys() == {*dice_by_label.score_names(NAMES, ["tumour"])}


def test_the_interval_of_slices_draws_patients_with_all_of_theirs():
    # Patient a has three slices of Dice 1, b one of 0: both drawn once in half of the
    # draws, one of them alone in a quarter each.
    slices = counts([[1], [1], [1], [0]], [[0]] * 4, [[0], [0], [0], [1]])
    summary = summarise(slices, [0] * 4, "aaab", ["tumour"], level=0.4)
    assert summary["slice_dice_of_glioma"] == pytest.approx(3 / 4)
    assert summary["slice_dice_of_glioma_low"] == pytest.approx(3 / 4)
    assert summary["slice_dice_of_glioma_high"] == pytest.approx(3 / 4)
    summary = summarise(slices, [0] * 4, "aaab", ["tumour"], level=0.95)
    assert summary["slice_dice_of_glioma_low"] == 0
    assert summary["slice_dice_of_glioma_high"] == 1


def test_of_classes_without_the_labels_name_a_pixel_of_the_wrong_one_is_wrong_twice():
    # Two classes: 3 hits of the first; a pixel of the first was called the second.
    slices = counts([[3, 0]], [[0, 1]], [[1, 0]])
    summary = summarise(slices, [0], ["a"], ["core", "rim"])
    assert summary["slice_dice_of_glioma"] == pytest.approx(6 / (6 + 1 + 1))
    assert "patient_dice_of_own_class" not in summary


def test_a_patient_is_scored_by_the_class_that_it_has():
    # Patient a has glioma: 3 hits, 1 miss, and 5 pixels called pituitary, which is not
    # its class. Patient b has pituitary: 2 hits, 2 false, and 1 pixel called glioma.
    slices = counts([[3, 0], [0, 2]], [[0, 5], [1, 2]], [[1, 0], [0, 0]])
    summary = summarise(slices, [0, 2], ["a", "b"], ["glioma", "pituitary"])
    of_glioma, of_pituitary = 6 / 7, 4 / 6
    assert summary["patient_dice_of_glioma"] == pytest.approx(of_glioma)
    assert summary["patient_dice_of_pituitary"] == pytest.approx(of_pituitary)
    mean = (of_glioma + of_pituitary) / 2
    assert summary["patient_dice_of_own_class"] == pytest.approx(mean)
    assert summary["slice_dice_of_own_class"] == pytest.approx(mean)
    assert summary["patient_dice_of_own_class_low"] == pytest.approx(of_pituitary)
    assert summary["patient_dice_of_own_class_high"] == pytest.approx(of_glioma)
    names = dice_by_label.score_names(NAMES, ["glioma", "pituitary"])
    assert summary.keys() == {*names}


def test_what_is_marked_where_a_label_has_no_class_is_wrong():
    slices = counts([[0, 0]], [[0, 4]], [[0, 0]])
    summary = summarise(slices, [1], ["a"], ["glioma", "pituitary"])
    assert summary["patient_dice_of_no_tumour"] == 0
