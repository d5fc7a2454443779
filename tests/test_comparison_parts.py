"""What a comparison of runs is made of: pairs, names, tables and charts."""

import contextlib
import types

import numpy as np
import pytest
import scipy.stats

from brainseg_jax.metrics import paired
from brainseg_jax.reports.parts import (
    comparison_charts,
    comparison_tables,
    patient_scores,
    prediction_grid,
)
from brainseg_jax.runs import notes, reported


def test_a_chart_has_shares_alone_and_of_classes_dice():
    names = ["Dice", "Dice WT", "IoU", "IoU WT", "HD95 (mm)", "mask lesion F1"]
    drawn = [name for name in (*names, "accuracy") if patient_scores.is_drawn(name)]
    assert drawn == ["Dice", "Dice WT", "IoU", "mask lesion F1", "accuracy"]


def test_runs_are_named_by_as_much_of_their_path_as_tells_them_apart(tmp_path):
    named = reported.unique_names(["runs/x/net", "runs/y/net", "runs/z/other"])
    assert named == ["x/net", "y/net", "z/other"]
    assert reported.unique_names(["runs/x", "runs/y"]) == ["x", "y"]
    with pytest.raises(ValueError, match="two runs or more"):
        reported.unique_names(["runs/x"])
    with pytest.raises(ValueError, match="twice"):
        reported.unique_names(["runs/x", "runs/y/../x"])
    with pytest.raises(FileNotFoundError, match="config.json is missing"):
        reported.read_about(str(tmp_path))


def test_patients_that_either_lacks_make_no_pair():
    found = paired.compare(np.array([0.5, np.nan, 1.0]), np.array([0.5, 0.2, np.nan]))
    assert [found[name] for name in ("patients", "equal", "difference")] == [1, 1, 0]
    # One patient has no interval, and without a difference there is no test.
    assert np.isnan([found["low"], found["high"], found["wilcoxon_p"]]).all()


def test_wilcoxon_is_scipys_with_zeros_left_out_and_rounding_forgotten():
    moved = np.array([0.1, 0.3, -0.2, 0.4, 0.5, 0.7])
    known = scipy.stats.wilcoxon(moved).pvalue
    blurred = np.array([*moved, 0, 1e-9]) + 1e-12
    assert paired.wilcoxon(blurred) == pytest.approx(known)
    # Ties and few patients: a number, without a warning.
    assert 0 < paired.wilcoxon(np.array([0.1, 0.1, -0.1, 0.2, 0, 0])) <= 1


def test_the_interval_of_a_class_is_found_within_its_name():
    summary = {
        "patient_dice": 0.5, "patient_dice_low": 0.4, "patient_dice_high": 0.6,
        "patient_dice_ET": 0.3, "patient_dice_low_ET": 0.2, "patient_dice_high_ET": 0.4,
        "slices": 3, "note": "x",
    }  # fmt: skip
    rows = comparison_tables.scores_of_runs({"a": summary})
    assert [(row["score"], row["low"], row["high"]) for row in rows] == [
        ("patient_dice", 0.4, 0.6), ("patient_dice_ET", 0.2, 0.4),
    ]  # fmt: skip


def test_a_lone_class_is_scored_by_kind_where_the_table_says_it():
    info = types.SimpleNamespace(kinds=("glioma", "cyst"))
    rows = [
        {"patient": name, "class": "tumour", "dice": dice, "label": kind}
        for name, dice, kind in (("p", "0.5", "cyst"), ("q", "nan", "glioma"))
    ]
    found = patient_scores.of_masks(rows, info)
    assert patient_scores.defined(found) == ["Dice", "Dice cyst"]
    assert found["Dice cyst"]["p"] == 0.5 and np.isnan(found["Dice cyst"]["q"])
    older = [{key: row[key] for key in row if key != "label"} for row in rows]
    assert [*patient_scores.of_masks(older, info)] == ["Dice"]


def test_notes_of_some_runs_say_whose_they_are():
    each = {"a": "PHANTOM; CONTAMINATED", "b": "PHANTOM"}
    assert notes.common(each) == "PHANTOM; a: CONTAMINATED"


def test_the_slice_with_most_tumour_is_shown_and_without_tumour_the_most_predicted():
    def row(patient, key, true, false):
        counts = {"true_positives": true, "false_negatives": 1 if true else 0}
        return {"patient": patient, "key": key, "false_positives": false, **counts}

    rows = [row("p", "p1", 5, 900), row("p", "p2", 7, 0), row("q", "q1", 0, 3)]
    rows += [row("p", "p1", 4, 0), row("q", "q2", 0, 2)]
    # p1 has two classes, of 6 and 5 pixels: more than the 8 of p2.
    assert prediction_grid.largest_slices(rows) == {"p": "p1", "q": "q1"}


def test_a_lone_validation_lies_at_its_epoch(tmp_path, monkeypatch):
    pages = []
    page = comparison_charts.figures.page

    @contextlib.contextmanager
    def kept(*arguments):
        with page(*arguments) as figure:
            pages.append(figure)
            yield figure

    monkeypatch.setattr(comparison_charts.figures, "page", kept)
    history = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.9, "dice": 0.5}]
    comparison_charts.curves(
        {"a": history, "b": history},
        tmp_path / "c.png",
        columns={"loss": "Loss", "dice": "Dice"},
        title="",
    )
    for axes in pages[0].axes:
        low, high = axes.get_xlim()
        assert (low, high) == (0.5, 2.5)
        assert [tick for tick in axes.get_xticks() if low < tick < high] == [1, 2]


def test_curves_need_an_epoch(tmp_path):
    with pytest.raises(ValueError, match="share no curve"):
        comparison_charts.curves(
            {"a": [], "b": []},
            tmp_path / "c.png",
            columns={"train_loss": "x"},
            title="",
        )
