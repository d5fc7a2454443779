"""Where what is written of several runs as one lies: another place for others."""

import json
import pathlib
import types

import pytest

from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import cards, ensembles, members, report_folders, restore
from tests.test_records import make_about


def named(*folders):
    return ensembles.name_of(",".join(map(str, folders)))


def test_runs_beside_the_first_are_told_by_their_names(tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    assert named(a) == ""
    assert named(a, b) == "ensemble_of_2_with_b"
    assert named(a, c, b) == named(a, b, c) == "ensemble_of_3_with_b+c"


def test_others_of_one_name_are_told_by_where_they_are(tmp_path):
    a, x, y = (tmp_path / name for name in ("a", "x/b", "y/b"))
    first, second = named(a, x), named(a, y)
    assert first.startswith("ensemble_of_2_with_b_") and len(first) == 29
    assert len({first, second, named(a, x, y), named(a, tmp_path / "b")}) == 4
    # The same from wherever it is asked, and moved with all of them.
    moved = tmp_path / "moved"
    assert named(moved / "a", moved / "x/b") == first


def test_long_names_and_such_as_read_like_two_are_told_by_a_hash(tmp_path):
    a = tmp_path / "a"
    long = [tmp_path / f"{'resunet_lgg' * 6}_{k}" for k in range(2)]
    first, second = (named(a, one) for one in long)
    assert first != second and max(map(len, (first, second))) < 100
    pairs = [("b", "c+d"), ("b+c", "d")]
    names = {named(a, *(tmp_path / name for name in pair)) for pair in pairs}
    assert len(names) == 2 and all("_with_b+c+d_" in name for name in names)


def test_a_folder_of_runs_counts_as_many(tmp_path):
    for name in ("fold_0", "fold_1"):
        (tmp_path / "cv" / name).mkdir(parents=True)
    members.write(tmp_path / "cv", members.FOLDS, ["fold_0", "fold_1"])
    assert named(tmp_path / "a", tmp_path / "cv") == "ensemble_of_3_with_cv"
    assert named(tmp_path / "cv") == ""


def test_reports_figures_and_cards_of_other_ensembles_lie_elsewhere(tmp_path):
    about = make_about()
    data = about.config["data"]["name"]
    runs = [f"{tmp_path}/a", f"{tmp_path}/a,{tmp_path}/b", f"{tmp_path}/a,{tmp_path}/c"]
    folders = [
        report_folders.report_folder(workdir, about, data, "fold_3+fold_4")
        for workdir in runs
    ]
    assert [str(one.relative_to(tmp_path)) for one in folders] == [
        "a/evaluation/fold_3_fold_4",
        "a/evaluation/ensemble_of_2_with_b/fold_3_fold_4",
        "a/evaluation/ensemble_of_2_with_c/fold_3_fold_4",
    ]
    figures = [str(ensembles.figures_of(run).relative_to(tmp_path)) for run in runs[:2]]
    assert figures == ["a/postprocess", "a/postprocess/ensemble_of_2_with_b"]


def test_a_card_under_the_name_of_an_earlier_version_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(
        ensembles.restore, "read_best", lambda folder: types.SimpleNamespace(step=3)
    )
    both = f"{tmp_path}/a,{tmp_path}/b"
    steps, rules = {".": 3, "../b": 3}, Rules(largest=True)
    path = cards.write(tmp_path / "a", rules, steps, {}, name="card_ensemble_of_2.json")
    assert ensembles.card_of(both, None).rules == rules
    place = ensembles.card_place(both, None)
    cards.write(place.workdir, Rules(), place.step, {}, name=place.name)
    assert ensembles.card_of(both, None).rules == Rules()
    assert json.loads(path.read_text())["checkpoint_step"] == steps  # as it was


def test_a_run_that_is_named_twice_is_refused(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(restore, "restore", asked.append)
    a = tmp_path / "a"
    again = pathlib.Path(f"{tmp_path}/x/../a")
    for twice in (f"{a},{a}", f"{a},{again}", f"{a},{tmp_path}/b,{a}/"):
        with pytest.raises(ValueError, match="/a more than once.* Name each once"):
            ensembles.restore_all(twice)
    assert not asked
