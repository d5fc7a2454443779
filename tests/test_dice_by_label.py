"""Dice of masks by the label of whole slices, worked out by hand."""

import math

import numpy as np
import pytest

from brainseg_jax.metrics import dice_by_label
from brainseg_jax.metrics.overlap import Counts

NAMES = ("glioma", "no tumour", "pituitary")


def counts(tp, fp, fn):
    return Counts(*(np.array(part) for part in (tp, fp, fn, np.ones_like(tp))))


def test_slices_and_patients_of_each_label_are_scored_by_themselves():
    # Dice of the slices: 2/(2+1) for glioma of patient a, twice; 0 of b; 1 of c.
    slices = counts([[1], [3], [0], [5]], [[1], [0], [0], [0]], [[0], [3], [2], [0]])
    summary = dice_by_label.summarise(
        slices, np.array([0, 0, 0, 2]), ["a", "a", "b", "c"], names=NAMES, empty="one"
    )
    assert summary["slice_dice_of_glioma"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    # Patient a: 4 hits, 1 false positive, 3 misses: 8 / 12.
    assert summary["patient_dice_of_glioma"] == pytest.approx((8 / 12 + 0) / 2)
    assert summary["patient_dice_of_glioma_low"] == 0
    assert summary["patient_dice_of_glioma_high"] == pytest.approx(8 / 12)
    assert summary["patient_dice_of_pituitary"] == 1
    assert math.isnan(summary["slice_dice_of_no_tumour"])
    assert summary.keys() == {*dice_by_label.score_names(NAMES)}


def test_a_pixel_of_the_wrong_class_is_wrong_twice():
    # Two classes: 3 hits of the first; a pixel of the first was called the second.
    slices = counts([[3, 0]], [[0, 1]], [[1, 0]])
    summary = dice_by_label.summarise(
        slices, np.array([0]), ["a"], names=NAMES[:1], empty="one"
    )
    assert summary["slice_dice_of_glioma"] == pytest.approx(6 / (6 + 1 + 1))
