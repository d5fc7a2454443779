"""Cross-validation in its parts: which folds do what, and what is pooled of them."""

import dataclasses
import json
import shutil
import types

import numpy as np
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.inference.pixel_counts import Pixels
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics.mask_shapes import Measured, Shapes
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.modes import crossval, train
from brainseg_jax.reports.parts import fold_chart
from brainseg_jax.runs import (
    cards,
    ensembles,
    fold_reports,
    fold_rule,
    members,
    notes,
    out_of_fold,
    reported,
    snapshots,
)
from brainseg_jax.runs.fold_rule import Splits
from brainseg_jax.runs.records import Progress, Record
from configs import base
from tests.test_records import make_about

INFO = data_info.described(
    "a/b",
    channels=["t1"],
    classes={"tumour": 1},
    labels=["none"],
    folds={"p": 0, "q": 2, "r": 1, "s": 3, "t": 1},
    leaky={"leaky_train": ["p1"]},
    official={f"official_{k}": ["p1"] for k in range(3)},
)


def test_each_fold_tests_once_and_chooses_once():
    assert fold_rule.rule(["a", "b", "c", "d"]) == [
        Splits("c+d", "b", "a"),
        Splits("a+d", "c", "b"),
        Splits("a+b", "d", "c"),
        Splits("b+c", "a", "d"),
    ]


def test_folds_are_those_of_the_data_set_or_the_publishers():
    config = base.get_config()
    first, *others = fold_rule.chosen(config, INFO, 0)
    assert first == Splits("fold_2+fold_3", "fold_1", "fold_0") and len(others) == 3
    assert fold_rule.chosen(config, INFO, 1) == [first]
    config.data.train = "official_0+official_1"
    splits = fold_rule.chosen(config, INFO, 0)
    assert splits[2] == Splits("official_1", "official_0", "official_2")
    own = fold_rule.with_splits(config, splits[2])
    assert (own.data.train, own.data.test) == ("official_1", "official_2")
    assert config.data.train == "official_0+official_1"  # as it was


@pytest.mark.parametrize(
    "train_split, count, said",
    [
        ("leaky_train", 0, "config.data.train=leaky_train .* a variant"),
        ("fold_0", 5, "--folds=5, but a/b has 4 folds; give a number from 1 to 4"),
        ("fold_0", -1, "--folds=-1"),
    ],
)
def test_folds_that_there_are_not_are_refused(train_split, count, said):
    config = base.get_config()
    config.data.train = train_split
    with pytest.raises(ValueError, match=said):
        fold_rule.chosen(config, INFO, count)


def test_two_folds_are_too_few():
    few = data_info.described(
        "a/b", channels=["t1"], classes={}, labels=["none"], folds={"p": 0, "q": 1}
    )
    with pytest.raises(ValueError, match="a/b has 2 folds .* needs 3"):
        fold_rule.folds_of(few, "fold_0")


def part_of(keys, patients):
    return types.SimpleNamespace(keys=list(keys), patients=patients)


def scored_of(numbers, unit="mm"):
    """Each example's loss is its number, and so is its count of true positives."""
    losses = np.array(numbers, float)
    counts = Counts(*(np.array(numbers)[:, None] + k for k in range(4)))
    shapes = Shapes({"hd95": losses[:, None] * 2}, Measured("a", 1.0, unit, "one"))
    shapes = shapes._replace(
        stacked={"hd95": losses[:, None] * 3}
    )  # slices are patients
    pixels = Pixels(np.array(numbers)[:, None, None, None], "all")
    return Scored(losses, counts, shapes, pixels)


def test_scores_are_pooled_in_the_order_of_the_whole_split():
    parts = [part_of("bd", ["ann", "cid"]), part_of("ca", ["bob", "abe"])]
    whole = part_of("abcd", ["abe", "ann", "bob", "cid"])
    pooled = out_of_fold.pool([scored_of([2, 4]), scored_of([3, 1])], parts, whole)
    assert pooled.loss.tolist() == [1, 2, 3, 4]
    assert pooled.measured.true_positives[:, 0].tolist() == [1, 2, 3, 4]
    assert pooled.measured.true_negatives[:, 0].tolist() == [4, 5, 6, 7]
    assert pooled.shapes.values["hd95"][:, 0].tolist() == [2, 4, 6, 8]
    assert pooled.shapes.stacked["hd95"][:, 0].tolist() == [3, 6, 9, 12]
    assert pooled.pixels.tallies.reshape(-1).tolist() == [1, 2, 3, 4]


def test_patients_of_several_slices_are_pooled_once_each():
    parts = [part_of("bda", ["bob", "bob", "cid"]), part_of("c", ["ann"])]
    whole = part_of("abcd", ["cid", "bob", "ann", "bob"])
    order = whole.patients
    joined = out_of_fold._joiner([part.patients for part in parts], order)
    # Rows are bob's, cid's and ann's.
    assert joined([[1], [2]], [[3]]).tolist() == [[2], [1], [3]]


def test_distances_of_unlike_units_are_left_out(caplog):
    parts = [part_of("a", ["ann"]), part_of("b", ["bob"])]
    scored = [scored_of([1]), scored_of([2], unit="voxels")]
    pooled = out_of_fold.pool(scored, parts, part_of("ab", ["ann", "bob"]))
    assert pooled.shapes is None and "without them" in caplog.text
    assert pooled.loss.tolist() == [1, 2]


def test_every_example_is_predicted_by_the_model_that_has_not_seen_it(monkeypatch):
    monkeypatch.setattr(
        out_of_fold.predictor, "make_labeller", lambda net: lambda *image: (net, *image)
    )
    folds = [
        out_of_fold.Fold(f"fold_{net}", net, part_of("", patients))
        for net, patients in enumerate((["ann", "cid"], ["bob"]))
    ]
    whole = types.SimpleNamespace(
        patients=["ann", "bob", "cid"],
        scaling=[10, 20, 30],
        seen=lambda index: (f"image {index}", "mask"),
    )
    labels = out_of_fold.make_labeller(folds, whole)
    assert labels(1) == (1, "image 1", 20)
    assert labels(2) == (0, "image 2", 30)
    of_patients = out_of_fold.fold_of_patients(folds)
    assert of_patients == {"ann": "fold_0", "cid": "fold_0", "bob": "fold_1"}
    tables = {"patients.csv": [{"patient": "bob", "dice": 0.5}], "c.csv": [{"n": 1}]}
    assert fold_reports.with_folds(tables, ()) == tables
    assert fold_reports.with_folds(tables, folds) == {
        "patients.csv": [{"fold": "fold_1", "patient": "bob", "dice": 0.5}],
        "c.csv": [{"n": 1}],
    }


def test_scores_spread_over_all_patients_and_over_each_folds():
    dice = {"ann": 0.4, "bob": 0.8, "cid": 0.6}
    rows = [
        {"patient": name, "class": "t", "dice": value} for name, value in dice.items()
    ]
    folds = {"ann": "fold_0", "bob": "fold_1", "cid": "fold_0"}
    tables = fold_reports.by_fold({"mask/patients.csv": rows, "metrics.csv": []}, folds)
    every, first, second = tables["mask/folds.csv"]
    assert [(r["fold"], r["n"], r["median"]) for r in (every, first, second)] == [
        ("all", 3, 0.6), ("fold_0", 2, 0.5), ("fold_1", 1, 0.8),
    ]  # fmt: skip
    # Deviations of -0.2, 0.2 and 0 from 0.6: 0.08 over n - 1.
    assert every["std"] == pytest.approx(0.2)
    assert np.isnan(second["low"])  # one patient has no interval


@pytest.mark.parametrize(
    "names, firsts",
    [
        (["Dice", "Dice tumour"], ["Dice"]),
        (
            ["mask Dice", "mask Dice t", "label accuracy"],
            ["mask Dice", "label accuracy"],
        ),
        ([], []),
    ],
)
def test_the_chart_shows_the_first_score_of_each_head(names, firsts):
    scores = {"undefined": {"p": np.nan}} | {name: {"p": 1.0} for name in names}
    assert [*fold_reports.first_scores(scores)] == firsts


def test_the_chart_pools_all_patients_with_a_score():
    scores = {"a": 0.5, "b": np.nan, "c": 0.25, "d": 1.0}
    folds = {"a": "fold_0", "b": "fold_0", "c": "fold_1", "d": "fold_0"}
    lines = fold_chart._by_fold(scores, folds)
    assert {name: own.tolist() for name, own in lines.items()} == {
        "fold_0": [0.5, 1.0], "fold_1": [0.25], "all folds": [0.5, 1.0, 0.25],
    }  # fmt: skip


@pytest.mark.parametrize(
    "epochs, patience, said",
    [
        ((2, 4, 3), 0, "UNFINISHED: folds were trained for 2 to 4 epochs"),
        ((2, 0, 2), 0, "UNFINISHED: folds were trained for 0 to 2 epochs"),
        ((2, 2, 2), 0, ""),
        ((2, 4, 3), 5, ""),  # each ended by itself
    ],
)
def test_it_is_said_that_some_folds_were_not_extended_yet(epochs, patience, said):
    about = make_about()
    about.config["evaluation"]["patience"] = patience
    records = [
        Record(about, Progress(history=({"train_loss": 1.0},) * count), step=9)
        for count in epochs
    ]
    folds = [
        out_of_fold.Fold("", types.SimpleNamespace(record=record), None)
        for record in records
    ]
    assert out_of_fold.unlike_lengths(folds) == said


def write_members(folder, kind=members.FOLDS, names=("fold_0", "fold_1")):
    for name in names:
        (folder / name).mkdir(parents=True)
    members.write(folder, kind, names)
    return str(folder)


def test_a_folder_of_runs_stands_for_all_of_them(tmp_path):
    both = write_members(tmp_path / "cv")
    runs = [f"{both}/fold_0", f"{both}/fold_1"]
    assert ensembles.runs_of(both) == runs
    assert ensembles.runs_of(f"{tmp_path}/a,{both}") == [f"{tmp_path}/a", *runs]
    assert ensembles.said(both) == "ENSEMBLE of 2"
    assert members.are_folds(both)
    few = write_members(tmp_path / "s", members.SNAPSHOTS, ("cycle_1",))
    assert not members.are_folds(few) and ensembles.said(few) == ""
    (tmp_path / "cv" / members.FILE).write_text('{"kind": "folds"}')
    with pytest.raises(
        ValueError, match="members.json is damaged .* can be named one by one"
    ):
        ensembles.runs_of(both)


def test_the_card_of_several_runs_moves_with_them(tmp_path, monkeypatch):
    steps = {"fold_0": 3, "fold_1": 5}
    monkeypatch.setattr(
        ensembles.restore,
        "read_best",
        lambda folder: types.SimpleNamespace(step=steps[str(folder).split("/")[-1]]),
    )
    both = write_members(tmp_path / "cv")
    place = ensembles.card_place(both, None)
    cards.write(place.workdir, Rules(largest=True), place.step, {}, name=place.name)
    saved = json.loads((tmp_path / "cv" / "card.json").read_text())
    assert saved["checkpoint_step"] == steps
    moved = str(shutil.move(both, tmp_path / "elsewhere" / "cv2"))
    assert ensembles.card_of(moved, None).rules == Rules(largest=True)
    # As earlier versions wrote it, where nothing was moved since.
    whole = {f"{moved}/{name}": step for name, step in steps.items()}
    cards.write(moved, Rules(largest=True), whole, {})
    assert ensembles.card_of(moved, None).rules == Rules(largest=True)
    steps["fold_1"] = 6  # trained on
    assert ensembles.card_of(moved, None) is None


def test_a_cross_validation_is_said_to_be_tested_out_of_fold(tmp_path):
    both = write_members(tmp_path / "cv")
    for name in ("fold_0", "fold_1"):
        about = json.dumps(vars(make_about()))
        (tmp_path / "cv" / name / "config.json").write_text(about)
    assert reported.read_about(both).config["data"]["test"] == "out_of_fold"
    assert reported.read_about(f"{both}/fold_1").config["data"]["test"] == "fold_4"
    assert "--split" not in reported.command(both, "out_of_fold")


def write_folds(folder, *, changes=None, folds=None):
    """Two, without checkpoints; the second of another config, or other patients."""
    write_members(folder)
    for name, own, patients in (("fold_0", {}, None), ("fold_1", changes, folds)):
        about = json.loads(json.dumps(vars(make_about())))
        about["config"]["data"]["test"] = name
        about["config"] |= own or {}
        about["data"]["folds"] = patients or about["data"]["folds"]
        (folder / name / "config.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    "unlike, said",
    [
        ({"changes": {"seed": 7}}, "fold_0 and fold_1 are .* config.seed is 0 .* 7 in"),
        (
            {"folds": {"a": 1, "b": 0}},
            "fold_0 and fold_1: the data set was prepared anew",
        ),
    ],
)
def test_folds_of_other_configs_or_patients_are_not_pooled(tmp_path, unlike, said):
    write_folds(tmp_path, **unlike)
    with pytest.raises(ValueError, match=said):
        reported.read_about(str(tmp_path))


def test_other_patients_are_refused_before_the_next_fold_is_trained(tmp_path):
    write_folds(tmp_path)
    crossval._refuse_other_patients(tmp_path, INFO)  # nothing is trained
    (tmp_path / "fold_0" / "checkpoints" / "1").mkdir(parents=True)
    with pytest.raises(ValueError, match="was prepared anew since its first fold"):
        crossval._refuse_other_patients(tmp_path, INFO)
    same = dataclasses.replace(INFO, folds={"a": 0, "b": 1, "c": 4})
    crossval._refuse_other_patients(tmp_path, same)


@pytest.mark.parametrize("anew, pooled", [(False, 0), (True, 1)])
def test_folds_that_were_trained_are_pooled_anew(tmp_path, monkeypatch, anew, pooled):
    write_folds(tmp_path)
    monkeypatch.setattr(ensembles, "step_of", lambda folder: {"fold_0": 3})
    monkeypatch.setattr(
        crossval.report_folders, "reported_step", lambda path: {"fold_0": 3}
    )
    called = []
    monkeypatch.setattr(
        crossval.evaluate, "evaluate_folds", lambda *_, **__: called.append(1)
    )
    crossval._pool(tmp_path, "data", anew=anew)
    assert len(called) == pooled


def test_single_runs_and_folds_do_not_share_a_folder(tmp_path):
    single = tmp_path / "run" / "checkpoints" / "1"
    single.mkdir(parents=True)
    with pytest.raises(ValueError, match="run holds a single run"):
        crossval.cross_validate(base.get_config(), tmp_path / "run")
    folds = write_members(tmp_path / "cv")
    with pytest.raises(ValueError, match="cv holds a cross-validation"):
        train.train(base.get_config(), folds)
    cycles = write_members(tmp_path / "snapshots", members.SNAPSHOTS, ("cycle_1",))
    with pytest.raises(ValueError, match="snapshots holds snapshots of one training"):
        crossval.cross_validate(base.get_config(), cycles)
    with pytest.raises(ValueError, match="snapshots holds snapshots of the training"):
        train.train(base.get_config(), cycles)


def test_finished_folds_are_listed_in_the_order_of_their_numbers(tmp_path):
    for name in ("fold_10", "fold_2", "fold_2"):
        crossval._add_member(tmp_path, name)
    assert [one.rpartition("/")[2] for one in members.folders(tmp_path)] == [
        "fold_2",
        "fold_10",
    ]


def test_a_snapshot_is_due_at_the_end_of_each_cycle():
    assert [snapshots.ended(epoch, 3) for epoch in range(1, 7)] == [0, 0, 1, 0, 0, 2]
    assert snapshots.ended(4, 0) == 0


def test_snapshots_of_another_training_are_refused(tmp_path, monkeypatch):
    earlier = make_about().config
    monkeypatch.setattr(
        snapshots.restore,
        "read_best",
        lambda folder: types.SimpleNamespace(about=make_about()),
    )
    snapshots.refuse_earlier(tmp_path, {**earlier, "seed": 5})  # there are none
    (tmp_path / "snapshots" / "cycle_1" / "checkpoints" / "1").mkdir(parents=True)
    snapshots.refuse_earlier(tmp_path, {**earlier, "epochs": 9})
    with pytest.raises(ValueError, match="config.seed is 0 there and 5 now"):
        snapshots.refuse_earlier(tmp_path, {**earlier, "seed": 5})


def test_tables_of_several_runs_say_so(tmp_path):
    both = write_members(tmp_path / "cv")
    record = Record(make_about(), Progress(), step=9)
    source = types.SimpleNamespace(
        patients=["a"], info=types.SimpleNamespace(note=lambda *splits: "PHANTOM")
    )
    note = "PHANTOM; CONTAMINATED: 1 patients were trained on"
    assert notes.of_runs(both, record, source, "fold_0") == f"ENSEMBLE of 2; {note}"
    assert notes.of_runs(f"{both}/fold_0", record, source, "fold_0") == note
