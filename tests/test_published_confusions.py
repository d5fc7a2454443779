"""Confusion matrices that systems 002, 003 and 004 published, by our scores.

What they printed is rounded to the digits of these expectations.
"""

import numpy as np
import pytest

from brainseg_jax.metrics import classification as class_scores
from brainseg_jax.metrics import confusions
from brainseg_jax.metrics.decisions import Decided

TWO = ("no tumour", "tumour")
FOUR = ("glioma", "none", "meningioma", "pituitary")


def summary_of(matrix, classes):
    """Slices that give this matrix (rows: the label), through every step of ours."""
    matrix = np.array(matrix)
    label = np.repeat(np.arange(len(matrix)), matrix.sum(1))
    predicted = np.concatenate(
        [np.repeat(np.arange(len(row)), row) for row in matrix.tolist()]
    )
    decided = Decided(np.eye(len(matrix))[predicted], predicted, label)
    np.testing.assert_array_equal(confusions.confusion(decided), matrix)
    return class_scores.summarise(
        decided,
        ["patient"] * len(label),
        classes=classes,
        decide=lambda probability: probability.argmax(-1),
        resamples=1,
    )


@pytest.mark.parametrize(
    "true_negatives, false_positives, false_negatives, true_positives, accuracy",
    [
        (482, 92, 21, 301, 0.873884),  # system 002, CNN
        (497, 88, 23, 288, 0.876116),  # its VGG16, model 2
        (0, 578, 0, 318, 0.354911),  # model 1: everything is called tumour
        (384, 3, 6, 183, 0.984375),  # system 003, ResNet50
    ],
)
def test_accuracies_of_two_classes(
    true_negatives, false_positives, false_negatives, true_positives, accuracy
):
    rows = [[true_negatives, false_positives], [false_negatives, true_positives]]
    found = summary_of(rows, TWO)
    assert round(found["slice_accuracy"], 6) == accuracy
    # Weighted by how many there are of each class, recall is accuracy.
    assert found["slice_recall_weighted"] == pytest.approx(found["slice_accuracy"])
    recalls = true_negatives / sum(rows[0]), true_positives / sum(rows[1])
    assert found["slice_balanced_accuracy"] == pytest.approx(sum(recalls) / 2)


def test_the_report_of_system_003():
    found = summary_of([[384, 3], [6, 183]], TWO)
    printed = {
        "slice_precision_no_tumour": 0.98,
        "slice_recall_no_tumour": 0.99,
        "slice_precision_tumour": 0.98,
        "slice_recall_tumour": 0.97,
    }
    assert {name: round(found[name], 2) for name in printed} == printed


def test_the_report_of_system_004():
    rows = [[90, 1, 3, 0], [0, 52, 0, 0], [3, 0, 87, 1], [0, 0, 1, 89]]
    found = summary_of(rows, FOUR)
    assert round(found["slice_accuracy"], 4) == 0.9725 == round(318 / 327, 4)
    names = [
        f"slice_{score}_{one}" for one in FOUR for score in ("precision", "recall")
    ]
    rounded = [round(found[name], 2) for name in names]
    assert rounded == [0.97, 0.96, 0.98, 1.0, 0.96, 0.96, 0.99, 0.99]
