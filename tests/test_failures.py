"""The failure gallery by hand: who is worst, what went wrong, and where it is painted."""

import math
import types

import cv2
import numpy as np
import pytest

from brainseg_jax.metrics import mask_shapes
from brainseg_jax.metrics.mask_shapes import Measured
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports import segmentation
from brainseg_jax.reports.page import as_markdown, failure_section
from brainseg_jax.reports.parts import class_failures, failure_panels, mask_failures


def row(patient, hits, spilled, missed, **more):
    return {
        "patient": patient, "class": "tumour", "true_positives": hits,
        "false_positives": spilled, "false_negatives": missed,
        "dice": 2 * hits / (2 * hits + spilled + missed) if hits else 0.0, **more,
    }  # fmt: skip


SLICES = [
    row("a", 0, 3, 0),  # marked without tumour
    row("a", 6, 0, 2),
    row("a", 0, 0, 4),  # not found
    row("a", 0, 0, 0),
]


def test_the_worst_come_first_and_none_that_is_all_right():
    dice = {"a": 0.9, "b": 1.0, "c": math.nan, "d": 0.2}
    assert mask_failures.worst(dice) == ["d", "a"]
    assert mask_failures.worst(dice, most=1) == ["d"]


def test_two_empty_masks_are_no_failure_whatever_they_score():
    # Under the policy `zero` b scores as low as a, without an error.
    rows = [row("a", 0, 3, 0), row("b", 0, 0, 0), row("c", 2, 0, 1), row("d", 5, 0, 0)]
    tables = {"patients.csv": rows, "metrics.csv": rows}
    source = types.SimpleNamespace(
        patients=[*"abcd"], info=types.SimpleNamespace(kinds=())
    )
    task = types.SimpleNamespace(classes=["tumour"])
    found = segmentation.failures(tables, source, task)["failures.csv"]
    assert [one["patient"] for one in found] == ["a", "c"]


def test_a_row_of_the_gallery_by_hand():
    parts = {"parts_found": 1, "parts_missed": 1, "parts_false": 2}
    (found,) = mask_failures.rows_of(["a"], [row("a", 6, 3, 6, **parts)], SLICES)
    assert found["what"] == "missed and spilled alike" and found["rank"] == 1
    assert (found["missed"], found["missed_share"]) == (6, 0.5)
    assert (found["spilled"], found["spilled_share"]) == (3, round(1 / 3, 6))
    assert (found["examples"], found["with_tumour"]) == (4, 2)
    assert (found["with_tumour_not_found"], found["without_but_marked"]) == (1, 1)
    said = as_markdown.block(
        failure_section.section({"failures.csv": [found]}, [], dimensions=2)
    )
    line = "| a | 0.571 | missed and spilled alike | 6 (50.0 %) | 3 (33.3 %) | 1 of 2 |"
    assert f"{line} 1 of 2 | 1 | 1 | 2 |" in said
    assert "slices not found" in said and "parts false" in said


@pytest.mark.parametrize(
    "counts, said",
    [
        ((5, 1, 9), "mostly missed"),
        ((5, 9, 1), "mostly spilled"),
        ((0, 0, 9), "not found"),
        ((0, 3, 9), "marked elsewhere"),
        ((0, 3, 0), "marked where nothing is"),
        ((4, 0, 0), "no error"),
    ],
)
def test_what_went_wrong_in_words(counts, said):
    assert mask_failures.what(row("a", *counts)) == said


def test_captions_name_classes_where_there_are_several():
    rows = [
        {"patient": "a", "class": name, "dice": dice, "what": "nothing"}
        for name, dice in (("WT", 0.5), ("ET", math.nan))
    ]
    assert mask_failures.captions(rows[:1]) == {"a": "Dice 0.50, nothing"}
    assert mask_failures.captions(rows) == {
        "a": "WT Dice 0.50, nothing\nET no Dice, nothing"
    }


def test_each_kind_of_error_has_its_place():
    truth = np.uint8([[1, 1, 0, 2, 0]])[..., None]
    found = np.uint8([[1, 0, 1, 1, 9]])[..., None]  # 9 is of no class
    where = failure_panels.errors(truth, found, [(1,), (2,)])
    assert {colour: own[0].tolist() for colour, own in where.items()} == {
        failure_panels.MISSED: [False, True, False, False, False],
        failure_panels.SPILLED: [False, False, True, False, False],
        failure_panels.MISTAKEN: [False, False, False, True, False],
    }
    # Of one class that has both labels it does not matter which.
    where = failure_panels.errors(truth, found, [(1, 2)])
    assert not where[failure_panels.MISTAKEN].any()


class Source:
    """Three slices of two patients, with a mask of a box."""

    patients, slices = ["a", "a", "b"], [4, 5, 1]

    class info:
        classes, members = {"tumour": 1}, ((1,),)

    def read_stored(self, place):
        mask = np.zeros((16, 16, 1), np.uint8)
        mask[4:9, 4:9] = 1
        return np.full((16, 16, 1), 90, np.uint8), mask


def test_the_slice_with_most_errors_is_drawn(tmp_path):
    counts = Counts(
        *(
            np.array(own)[:, None]
            for own in ([9, 1, 3], [0, 5, 0], [1, 2, 0], [6, 8, 13])
        )
    )
    scored = type("Scored", (), {"measured": counts})
    assert failure_panels.most_wrong(Source(), scored, "a") == 1
    path = failure_panels.draw(
        lambda place: np.zeros((16, 16, 1), np.uint8),
        Source(), scored, {"a": "Dice 0.20"}, tmp_path / "failures.png",
        title="t", note="PHANTOM",
    )  # fmt: skip
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    # Three quarters orange over a grey scan: all of the box is missed.
    orange = 0.75 * np.array(failure_panels.MISSED)
    assert (np.abs(picture - orange - 0.25 * picture[..., 2:]).max(-1) < 60).sum() > 500


def classified(key, patient, label, predicted, sure):
    return {
        "key": key, "patient": patient, "label": label, "predicted": predicted,
        f"probability_{predicted.replace(' ', '_')}": sure,
    }  # fmt: skip


def test_patients_whose_slices_were_taken_for_another_class():
    rows = [
        classified("a1", "a", "glioma", "no tumour", 0.6),
        classified("a2", "a", "glioma", "no tumour", 0.9),
        classified("a3", "a", "glioma", "glioma", 0.8),
        classified("b1", "b", "glioma", "glioma", 0.9),
        classified("c1", "c", "glioma", "no tumour", 0.7),
    ]
    worst, second = class_failures.rows_of(rows)
    assert (worst["patient"], worst["accuracy"], worst["rank"]) == ("c", 0, 1)
    assert second["what"] == "glioma taken for no tumour (2 of 2)"
    assert (second["surest"], second["probability"]) == ("a2", 0.9)
    said = as_markdown.block(
        failure_section.section(
            {"mask/failures.csv": [], "label/failures.csv": [second]}, [], 2
        )
    )
    assert "### mask\n\nNo patient has an error." in said
    assert "| a | 2 of 3 | glioma taken for no tumour (2 of 2) | a2 | 0.900 |" in said


def test_parts_of_slices_and_lesions_of_volumes_are_counted():
    truth = np.zeros((12, 12, 1), bool)
    truth[1:3, 1:3] = truth[8, 8] = True
    found = np.zeros_like(truth)
    found[2:4, 2:4] = found[5, 10] = True
    measured = Measured("pooled", 1.0, "pixels", "one")
    scores = mask_shapes.score(found, truth, (1.0, 1.0), measured)
    assert [scores[name].tolist() for name in mask_shapes.OF_PARTS] == [[1], [1], [1]]
    assert not {*mask_shapes.OF_LESIONS} & scores.keys()
    # As lesions small ones do not count; here none is above 50 mm³.
    volume = mask_shapes.score(
        np.stack([found] * 2), np.stack([truth] * 2), (1.0,) * 3, measured
    )
    assert [volume[name].tolist() for name in mask_shapes.OF_LESIONS] == [[0], [0], [0]]
    # Of a patient's slices they are added up.
    counts = Counts(*np.ones((4, 2, 1), int))
    shapes = mask_shapes.Shapes(
        {"parts_found": np.array([[1], [2]]), "nsd": np.array([[0.5], [1.0]])}, measured
    )
    own = mask_shapes.of_groups(shapes, counts, [[0, 1]]).values
    assert own["parts_found"].tolist() == [[3]] and own["nsd"].tolist() == [[0.75]]
