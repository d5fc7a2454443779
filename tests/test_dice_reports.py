"""Reports of masks whose labels tell kinds of tumour apart, and of those that do not."""

import dataclasses

import numpy as np
import pytest

from brainseg_jax.data import fitting, sources
from brainseg_jax.data import info as data_info
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports import segmentation
from brainseg_jax.reports.parts import mask_tables, patient_dice
from brainseg_jax.tasks import segmentation as task

KINDS = ("meningioma", "glioma")


def make_source(labels, **classes):
    """Two patients of two slices, the second of each empty, and what a net scored."""
    info = data_info.described("a/b", channels=["t1"], classes=classes, labels=labels)
    return sources.Source(
        info=info,
        keys=list("abcd"),
        patients=["ann", "ann", "bob", "bob"],
        slices=[1, 2, 1, 2],
        shapes=[(8, 13)] * 4,
        tumour=np.array([True, False] * 2),
        present=np.array([[True], [False]] * 2).repeat(len(classes), 1),
        labels=np.array([0, 0, 1, 1], np.int32),
        scaling=np.zeros((4, 4, 1), np.float32),
        read_stored=lambda i: (np.zeros((8, 13, 1), np.uint8),) * 2,
        fit=fitting.Fit((), "mask", tuple(info.classes.values())),
    )


def make_scored(classes):
    """Of the first class 3 hits and 1 miss, ann's; of the last 1 hit and 1 false, bob's."""
    parts = np.zeros((4, 4, classes), int)
    parts[3] = 100
    parts[0, 0, 0], parts[2, 0, 0] = 3, 1
    parts[0, 2, -1], parts[1, 2, -1] = 1, 1
    return Scored(np.arange(4.0), Counts(*parts))


def report(source, classes):
    """Summary, rows of patients and slices, and what is printed."""
    made = task.make_task(
        source.info.classes, exclusive=False, threshold=0.5, painting=[]
    )
    scored = make_scored(len(classes))
    summary = segmentation.summarise(scored, source, made, "nan")
    tables = segmentation.tables(scored, source, made, "nan")
    said = {"patients": 2, "slices": 4, "dimensions": 2, "empty_masks": "nan"}
    assert {*segmentation.score_names(made, source.info)} == summary.keys() - {"loss"}
    return summary, tables, segmentation.headline(summary, said)


def test_whole_volumes_are_called_so():
    names = ("patient_iou", "patient_precision", "patient_recall", "slice_dice",
             "patient_dice_median", "slice_dice_tumour", "slice_detection_accuracy",
             "patient_dice", "patient_dice_low", "patient_dice_high")  # fmt: skip
    summary = dict.fromkeys(names, 0.5)
    said = {"patients": 2, "slices": 4, "dimensions": 3, "empty_masks": "nan"}
    rows, _ = segmentation.headline(summary, said)
    assert "mean Dice over 4 volumes" in rows and not any("slice" in r for r in rows)


def test_one_class_of_all_kinds_is_scored_by_the_kind_of_each_patient():
    source = make_source(KINDS, tumour=1)
    summary, tables, (rows, _) = report(source, ["tumour"])
    assert summary["patient_dice"] == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert summary["patient_dice_of_meningioma"] == pytest.approx(6 / 7)
    assert summary["slice_dice_of_glioma"] == pytest.approx(2 / 3)
    assert rows["mean Dice over patients with glioma"] == "0.667 (one patient)"
    of_patient = {row["patient"]: row["label"] for row in tables["patients.csv"]}
    assert of_patient == {"ann": "meningioma", "bob": "glioma"}
    assert [row["label"] for row in tables["metrics.csv"]][::2] == [*KINDS]


def test_of_several_classes_a_patients_own_comes_first():
    source = make_source(KINDS, meningioma=1, glioma=2)
    summary, tables, (rows, _) = report(source, KINDS)
    mean = (6 / 7 + 2 / 3) / 2
    assert summary["patient_dice_of_own_class"] == pytest.approx(mean)
    assert next(iter(rows)).startswith("mean Dice of 2 patients' own class")
    assert "over all classes: median Dice over patients" in rows
    assert " to " in rows["over all classes: mean IoU over patients"]
    assert [row["label"] for row in tables["patients.csv"]] == [
        *("meningioma", "meningioma"),
        *("glioma", "glioma"),
    ]


def test_labels_that_say_whether_there_is_a_tumour_change_nothing():
    source = make_source(("no tumour", "tumour"), tumour=1)
    summary, tables, (rows, said) = report(source, ["tumour"])
    assert not [name for name in summary if "_of_" in name]
    assert not [name for name in rows if "with tumour" in name and "patients" in name]
    assert all("label" not in row for table in tables.values() for row in table)
    assert said == "two empty masks score: nan"


@pytest.mark.parametrize(
    "metric, known",
    [
        ("patient_dice_glioma", ["patient_dice_meningioma", "slice_dice"]),
        ("slice_dice_tumour_glioma", ["patient_accuracy_glioma", "loss"]),
        ("patient_dice_of_glioma", ["patient_dice_of_own_class"]),
    ],
)
def test_a_score_of_what_validation_lacks_is_not_watched(metric, known):
    classes = {"meningioma": 1, "glioma": 2}
    made = task.make_task(classes, exclusive=True, threshold=0.5)
    source = make_source(KINDS, **classes)
    without = dataclasses.replace(
        source,
        labels=np.zeros(4, np.int32),
        present=np.array([[True, False], [False, False]] * 2),
    )
    for name in (metric, *known):
        segmentation.check_examples(source, source, made, name)
    for name in known:
        segmentation.check_examples(source, without, made, name)
    said = "of the classes of its masks it has meningioma, and slices of meningioma"
    with pytest.raises(ValueError, match=f"metric={metric} .*{said}. Set another"):
        segmentation.check_examples(source, without, made, metric)


def table(source, classes):
    """What is drawn of ann and bob, and the names of the colours."""
    rows = mask_tables.by_patient(make_scored(len(classes)), source, classes, "nan")
    return patient_dice.table(rows, ["ann", "bob"], source.info.kinds, classes)


def test_bars_have_the_colour_of_the_patients_kind():
    expected = [[6 / 7, np.nan], [np.nan, 2 / 3]]
    each, named = table(make_source(KINDS, tumour=1), ["tumour"])
    assert named == [*KINDS]
    np.testing.assert_allclose(each, expected, atol=1e-6)
    each, named = table(make_source(KINDS, meningioma=1, glioma=2), KINDS)
    assert named == [*KINDS]
    np.testing.assert_allclose(each, expected, atol=1e-6)


def test_without_kinds_all_classes_are_drawn_and_a_lone_one_has_no_colour():
    labels = ("empty", "not empty")
    each, named = table(make_source(labels, core=1, rim=2), ["core", "rim"])
    assert named == ["core", "rim"]  # of ann's rim and bob's core nothing is there
    np.testing.assert_allclose(each, [[6 / 7, np.nan], [np.nan, 2 / 3]], atol=1e-6)
    each, named = table(make_source(labels, tumour=1), ["tumour"])
    assert named == [] and each.shape == (2, 1)


def test_of_several_classes_each_picture_is_drawn(tmp_path):
    source = make_source(KINDS, meningioma=1, glioma=2)
    made = task.make_task(source.info.classes, exclusive=False, threshold=0.5)
    scored = make_scored(2)
    segmentation.draw(
        made,
        source,
        scored,
        segmentation.tables(scored, source, made, "nan"),
        tmp_path,
        predict=lambda i: np.full((8, 13, 1), 2, np.uint8),
        note="",
        title="unet",
    )
    drawn = {path.stem for path in tmp_path.iterdir()}
    assert drawn == {"patients", "panels", "failures"}
