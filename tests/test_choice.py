"""By whom the epoch of a model was chosen: only where several were compared."""

import json
import shutil
import types

import jax
import numpy as np
import optax
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.runs import (
    checkpoints,
    ensembles,
    experiment,
    leaks,
    notes,
    records,
    restore,
    snapshots,
)
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.records import Progress
from brainseg_jax.training import state
from tests.test_records import make_about

SPLIT = types.SimpleNamespace(
    patients=["b", "c"],
    info=types.SimpleNamespace(name="lgg_mri", note=lambda *splits: "PHANTOM"),
)


def history(*evaluated, epochs=4):
    """Rows of epochs, some of which were evaluated."""
    return tuple(
        {"epoch": one, **({"validation_loss": 0.5} if one in evaluated else {})}
        for one in range(1, epochs + 1)
    )


def about_of(**schedule):
    about = make_about()
    about.config["schedule"] = {**about.config["schedule"], **schedule}
    return about


@pytest.mark.parametrize(
    "evaluated, best, schedule, how, patients",
    [
        ((2, 4), True, {}, "the best of 2 evaluated epochs, by patient dice", ("b",)),
        ((4,), True, {}, "the only one that was evaluated: it was not chosen", ()),
        ((2, 4), False, {"cycle_epochs": 2}, "the end of cycle 2 of the schedule", ()),
        ((1, 2, 3), False, {"cycle_epochs": 3}, "the last one: it was not", ()),
        ((), False, {}, "the last one: it was not chosen", ()),
    ],
)
def test_an_epoch_was_chosen_where_it_is_the_best_of_several(
    evaluated, best, schedule, how, patients
):
    progress = Progress(epoch=4, history=history(*evaluated))
    found = records.choose(about_of(**schedule), progress, best=best)
    assert found.how.startswith(how) and found.patients == patients


@pytest.mark.parametrize("evaluated, all_chose", [((2, 4), "bc"), ((4,), "c")])
def test_who_chose_the_epoch_of_an_earlier_run_chose_in_any_case(evaluated, all_chose):
    about = make_about(earlier_choosers=("c",))
    progress = Progress(epoch=4, history=history(*evaluated))
    found = records.choose(about, progress, best=True)
    assert found.patients == tuple(all_chose)


@pytest.mark.parametrize("init_from, choosers", [("", ()), ("runs/a", ("b", "c"))])
def test_of_older_runs_that_began_from_another_all_may_have_chosen(init_from, choosers):
    about = json.loads(json.dumps(vars(make_about())))
    del about["validation_patients"], about["earlier_choosers"]
    about["chosen_patients"], about["config"]["init_from"] = ["b", "c"], init_from
    saved = {"about": about, "progress": vars(Progress()), "step": 1}
    found = records.from_json(saved).about
    assert found.validation_patients == ("b", "c")
    assert found.earlier_choosers == choosers


def made(about):
    parts = experiment.make_parts(about.settings, about.info)
    return state.create_state(
        parts.model, optax.sgd(0.1), jax.random.key(0), parts.shape
    ).replace(average={}, step=np.int32(1))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with two evaluated epochs, each the end of a cycle of its own."""
    folder, about = tmp_path_factory.mktemp("run"), about_of(cycle_epochs=1)
    about.config["ema_decay"] = 0.0
    info = data_info.from_record(about.data)
    assert info.folds["b"] == 1  # of the validation split
    own = made(about)
    with checkpoints.Checkpoints(folder) as saved:
        for epoch, score in ((1, 0.5), (2, None)):
            best = Progress(epoch=epoch, history=history(1, 2, epochs=epoch))
            snapshots.keep(folder, epoch, own, about, best)
            saved.save(own, records.to_json(about, best), score)
    return folder


def test_reports_say_who_chose_the_epoch_of_a_run_and_of_its_snapshots(run):
    chosen = restore.read_best(run)
    # The first is the best; that there was a second one is known from the last.
    assert chosen.progress.epoch == 1 and chosen.choice.patients == ("b",)
    said = notes.of_model(chosen, SPLIT, "fold_1")
    assert said == "PHANTOM; VALIDATION: the epoch was chosen by 1 patients of it"
    assert leaks.find([(chosen, SPLIT)], "fold_1", run).chose_the_epoch == ["b"]
    cycle = restore.read_best(run / "snapshots/cycle_2")
    assert notes.of_model(cycle, SPLIT, "fold_1") == "PHANTOM"
    assert leaks.find([(cycle, SPLIT)], "fold_1", run).chose_the_epoch == []
    assert cycle.choice.how.startswith("the end of cycle 2")
    together = ensembles.restore_all(run / "snapshots").record
    assert together.choice.patients == ()
    assert together.choice.how.count("the end of cycle") == 2
    mixed = ensembles.restore_all(f"{run},{run}/snapshots/cycle_2").record
    assert mixed.choice.patients == ("b",)


def test_a_run_that_has_evaluated_once_has_chosen_nothing_yet(run, tmp_path):
    first = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(first / "checkpoints" / "2")
    assert restore.read_best(first).choice.patients == ()


@pytest.mark.parametrize(
    "evaluated, card, said",
    [
        ((2,), Card(Rules(largest=True), None, None), ["by 1 patients of it"]),
        ((2,), Card(Rules(), None, 1.5), ["by 1 patients of it"]),
        ((2,), Card(Rules(), None, None), []),  # it changes nothing
        ((1, 2), Card(Rules(), 0.4, None), []),  # that they chose is said already
    ],
)
def test_a_card_was_chosen_by_the_validation_split_in_any_case(evaluated, card, said):
    progress = Progress(epoch=2, history=history(*evaluated))
    about = make_about()
    choice = records.choose(about, progress, best=True)
    record = records.Record(about, progress, 1, choice=choice)
    found = notes.of_card(card, record, SPLIT)
    assert [
        one.removeprefix("VALIDATION: the card was chosen ") for one in found
    ] == said
