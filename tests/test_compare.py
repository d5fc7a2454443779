"""Runs compared over the same patients: made-up folders, by hand."""

import csv
import json
import pathlib

import cv2
import numpy as np
import pytest

from brainseg_jax import files
from brainseg_jax.modes import compare
from brainseg_jax.reports.parts import patient_scores
from brainseg_jax.runs import reported
from tests.test_records import make_about

DICE = {"first": {"p": 0.5, "q": 0.8, "r": 0.6}, "second": {"p": 0.7, "q": 0.7, "r": 1}}


def write_run(folder, dice, *, slices=2, epochs=3, config=None, **said):
    """What a training and an evaluation of masks leave behind, without checkpoints."""
    about = vars(make_about())
    about["data"]["labels"] = ["no tumour", "tumour"]
    settings = about["config"]
    for key, value in (config or {}).items():
        part, name = key.split(".")
        settings[part][name] = value
    files.write_json(folder / "config.json", about)
    files.write_csv(
        folder / "history.csv",
        [
            {
                "epoch": epoch,
                "train_loss": 1 / epoch,
                "validation_loss": 2 / epoch,
                "validation_patient_dice": 0.2 * epoch,
                "note": "PHANTOM",
            }
            for epoch in range(1, epochs + 1)
        ],
    )
    report = folder / "evaluation" / "fold_4"
    rows = [
        {"patient": name, "slices": slices, "class": "tumour", "dice": value}
        for name, value in dice.items()
    ]
    files.write_csv(report / "patients.csv", rows)
    mean = float(np.mean([*dice.values()]))
    names = ("iou", "precision", "recall")
    summary = {
        "note": "PHANTOM", "data": "lgg_mri/phantom 1", "patients": 3, "slices": 6,
        "dimensions": 2,
        "checkpoint_step": 9, "threshold": 0.5, "empty_masks": "one", "loss": 0.25,
        "patient_dice": mean, "patient_dice_low": mean - 0.1,
        "patient_dice_high": mean + 0.1, "patient_dice_median": 0.6,
        **{f"patient_{name}": 0.5 for name in names},
        "slice_dice": 0.5, "slice_dice_tumour": None, "slice_detection_accuracy": 1.0,
    }  # fmt: skip
    files.write_json(report / "summary.json", {**summary, **said})
    return str(folder)


def with_distances(workdir, far, *, convention="pooled", **others):
    """The same run, scored with distances too, one for each patient."""
    path = pathlib.Path(workdir) / "evaluation" / "fold_4" / "patients.csv"
    said = {"convention": convention, "tolerance": 1.0, "unit": "pixels", **others}
    rows = [
        {**row, "iou": 0.5, "hd95": value, "assd": 1.0, "nsd": 0.5, **said}
        for row, value in zip(rows_of(path), far, strict=True)
    ]
    files.write_csv(path, rows)
    return workdir


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_tables_and_charts_of_two_runs(tmp_path, capsys):
    runs = [write_run(tmp_path / name, dice) for name, dice in DICE.items()]
    compare.compare(runs, outputs=str(tmp_path / "out"))
    (pair,) = rows_of(tmp_path / "out" / "pairs.csv")
    # 0.2, -0.1 and 0.4: 0.5 in all, two better and one worse. Ranks 2, 1 and 3: of the
    # eight signs, W- is at most 1 for two, and W+ for two.
    assert (pair["run"], pair["against"]) == ("second", "first")
    assert float(pair["difference"]) == pytest.approx(0.5 / 3)
    counts = [int(pair[name]) for name in ("patients", "better", "worse", "equal")]
    assert counts == [3, 2, 1, 0]
    assert float(pair["wilcoxon_p"]) == pytest.approx(0.5)
    # A draw is of the worst or the best alone in 1/27 = 3.7 %, more than 2.5 %.
    assert [float(pair[end]) for end in ("low", "high")] == pytest.approx([-0.1, 0.4])
    side_by_side = rows_of(tmp_path / "out" / "patients.csv")
    assert [(row["patient"], row["first"], row["second"]) for row in side_by_side] == [
        ("p", "0.5", "0.7"), ("q", "0.8", "0.7"), ("r", "0.6", "1.0"),
    ]  # fmt: skip
    scores = {
        (row["run"], row["score"]): row for row in rows_of(tmp_path / "out/compare.csv")
    }
    dice = scores["second", "patient_dice"]
    assert [float(dice[end]) for end in ("value", "low", "high")] == pytest.approx(
        [0.8, 0.7, 0.9]
    )
    assert ("first", "slices") not in scores
    assert ("first", "patient_dice_low") not in scores
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert found["runs"]["first"]["model"] == "resunet" and found["split"] == "fold_4"
    printed = capsys.readouterr().out
    assert "PHANTOM" in printed and "+0.167" in printed and "2 / 1 / 0" in printed
    for name in ("curves.png", "bars.png"):
        picture = cv2.imread(str(tmp_path / "out" / name))
        assert _has(picture, "#0072B2") and _has(picture, "#D55E00"), name
    # Without checkpoints the nets cannot be asked.
    assert not (tmp_path / "out" / "grid.png").exists()


def _has(picture, colour):
    """Whether 200 pixels and more have a colour."""
    bgr = [int(colour[place : place + 2], 16) for place in (5, 3, 1)]
    return (np.abs(picture.astype(int) - bgr).max(-1) <= 2).sum() > 200


def test_distances_are_paired_and_lower_ones_are_better(tmp_path, capsys):
    runs = [write_run(tmp_path / name, dice) for name, dice in DICE.items()]
    with_distances(runs[0], (4, 5, 9))
    # As a table says it that knows of stacked slices.
    with_distances(runs[1], (2, 6, 6), distances_of_patient="mean over slices")
    found = compare.compare(runs, outputs=str(tmp_path / "out"))
    pairs = {row["score"]: row for row in found["pairs"]}
    assert [*pairs] == [
        "Dice", "IoU", "HD95 (pixels)", "ASSD (pixels)", "NSD",
    ]  # fmt: skip
    # -2, 1 and -3: nearer in two patients, farther in one.
    far = pairs["HD95 (pixels)"]
    assert far["difference"] == pytest.approx(-4 / 3)
    assert [far[name] for name in ("better", "worse", "equal")] == [2, 1, 0]
    assert far["wilcoxon_p"] == pytest.approx(0.5)
    assert found["note"] == "PHANTOM" and "-1.333" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, said",
    [
        ({"convention": "max_directed"}, "convention is pooled in first and max_dir"),
        ({"unit": "mm"}, "unit is pixels in first and mm in second"),
        (
            {"distances_of_patient": "of its stacked slices"},
            "distances_of_patient is mean over slices in first and of its stacked",
        ),
        (None, "second has none"),
    ],
)
def test_distances_of_another_kind_are_not_paired_and_all_say_so(
    tmp_path, caplog, options, said
):
    runs = [write_run(tmp_path / name, dice) for name, dice in DICE.items()]
    with_distances(runs[0], (4, 5, 9))
    if options is not None:
        with_distances(runs[1], (4, 5, 9), **options)
    found = compare.compare(runs, outputs=str(tmp_path / "out"))
    scores = {row["score"] for row in found["pairs"]}
    assert scores == {"Dice"} | ({"IoU"} if options else set())
    assert said in found["note"] and said in caplog.text
    assert said in rows_of(tmp_path / "out" / "pairs.csv")[0]["note"]


@pytest.mark.parametrize(
    "dice, options, message",
    [
        ({"p": 1, "q": 1}, {}, "1 patients were scored by one of them alone .r."),
        (DICE["second"], {"slices": 3}, "3 patients have more slices in one"),
        (
            DICE["second"],
            {"empty_masks": "zero"},
            "empty masks is one in the one and zero",
        ),
        (
            DICE["second"],
            {"data": "lgg_mri/phantom 2"},
            "data set is lgg_mri/phantom 1 ",
        ),
        (
            DICE["second"],
            {"config": {"data.only_tumour": True}},
            "config.data.only_tumour is False in the one and True",
        ),
        (
            DICE["second"],
            {"config": {"data.test": "fold_3"}},
            "not scored on fold_3 .*--mode=evaluate --workdir=.*b --split=fold_3",
        ),
    ],
)
def test_what_differs_is_refused(tmp_path, dice, options, message):
    first = write_run(tmp_path / "a", DICE["first"])
    other = write_run(tmp_path / "b", dice, **options)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        compare.compare([first, other], outputs=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_reports_with_and_without_the_spread_over_patients_compare(tmp_path):
    first, other = (write_run(tmp_path / name, own) for name, own in DICE.items())
    rows = [
        {"score": "dice", "class": name} for name in ("tumour", "mean over classes")
    ]
    files.write_csv(tmp_path / "second" / "evaluation" / "fold_4" / "scores.csv", rows)
    found = compare.compare([first, other], outputs=str(tmp_path / "out"))
    assert [*found["runs"]] == ["first", "second"]


def test_a_report_of_another_checkpoint_is_refused(tmp_path, monkeypatch):
    runs = [write_run(tmp_path / name, dice) for name, dice in DICE.items()]
    monkeypatch.setattr(
        reported.restore, "read_best", lambda folder: make_record(step=12)
    )
    with pytest.raises(ValueError, match="of step 9, and the best is now of step 12"):
        compare.compare(runs)


def test_a_report_of_an_older_version_is_read_by_todays_names(tmp_path):
    """It called what patients are classified as by mean probability their vote."""
    said = {"patient_vote_auc": 0.5, "label_patient_vote_auc_low": 0.4}
    run = write_run(tmp_path, DICE["first"], **said)
    report = tmp_path / "evaluation" / "fold_4"
    rows = [
        {"patient": name, "slices": 2, "accuracy": 0.5, "label": "cyst", "vote": called}
        for name, called in (("p", "cyst"), ("q", "glioma"))
    ]
    files.write_csv(report / "patients.csv", rows)
    files.write_csv(
        tmp_path / "history.csv", [{"epoch": 1, "validation_patient_vote_auc": 0.2}]
    )
    found = reported.read("a", run, reported.read_about(run), "fold_4", report)
    assert found.summary["patient_mean_probability_auc"] == 0.5
    assert found.summary["label_patient_mean_probability_auc_low"] == 0.4
    assert not any("vote" in name for name in found.summary)
    assert found.history[0]["validation_patient_mean_probability_auc"] == 0.2
    scores = patient_scores.of_classes(found.tables["patients.csv"])
    assert scores["accuracy of patients by mean probability"] == {"p": 1, "q": 0}


def make_record(step):
    return reported.records.Record(make_about(), reported.records.Progress(), step)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "evaluation/fold_4/summary.json",
            '{"a":',
            "summary.json is damaged.*First run",
        ),
        ("evaluation/fold_4/summary.json", "{}", "summary.json is damaged.*checkpoint"),
        (
            "evaluation/fold_4/patients.csv",
            "junk",
            "patients.csv is damaged.*First run",
        ),
        ("evaluation/fold_4/metrics.csv", "a\n\xff", "metrics.csv is damaged"),
        (
            "evaluation/fold_4/patients.csv",
            "patient,slices,class,dice\np,2,tumour,x\nq,2,tumour,1\nr,2,tumour,1\n",
            "The report of first is damaged.*First run: python main.py --mode=evaluate",
        ),
        ("history.csv", "epoch,train_loss\n1,x\n", "history.csv is damaged.*Delete it"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, text, said):
    runs = [write_run(tmp_path / run, dice) for run, dice in DICE.items()]
    (tmp_path / "first" / name).write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=said):
        compare.compare(runs, outputs=str(tmp_path / "out"))


def test_the_command_to_give_first_names_the_other_data_set(tmp_path):
    runs = [write_run(tmp_path / run, dice) for run, dice in DICE.items()]
    said = "--workdir=.*/first --split=fold_4 --data_name=folder/mine --data_dir=away"
    with pytest.raises(FileNotFoundError, match=said):
        compare.compare(runs, data_name="folder/mine", data_dir="away")
