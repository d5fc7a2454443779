"""Training without a validation split: no epoch is chosen, the last is kept and scored."""

import json
import pathlib
import types

import pytest

from brainseg_jax.modes import crossval, evaluate, postprocess, train
from brainseg_jax.runs import cards, checks, ensembles, fold_rule, loop, restore
from brainseg_jax.runs.fold_rule import Splits
from brainseg_jax.runs.records import Progress
from brainseg_jax.terminal import Clock
from tests import tiny_config


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """A cross-validation's first fold: four folds of five train, one is scored."""
    config = tiny_config.get_config()
    config.data.data_dir = str(data_dir)
    config.data.validation = ""
    config.data.cache = "host"  # one step for splits of all sizes, compiled once
    folder = tmp_path_factory.mktemp("runs") / "folds"
    crossval.cross_validate(config, folder, count=1)
    return folder / "fold_0"


def test_all_but_the_tested_fold_train():
    splits = fold_rule.rule(["a", "b", "c"], choose=False)
    assert splits == [
        Splits("b+c", "", "a"),
        Splits("a+c", "", "b"),
        Splits("a+b", "", "c"),
    ]


def test_the_last_epoch_is_scored_and_nobody_chose_it(run):
    record = restore.read_best(run)
    data = record.about.config["data"]
    assert (data["validation"], len(data["train"].split("+"))) == ("", 4)
    assert record.step == record.progress.history[-1]["step"]
    assert record.progress.epoch == record.about.config["epochs"]
    assert not record.choice.patients and not record.about.validation_patients
    assert "validation_loss" not in record.progress.history[-1]
    report = pathlib.Path(run) / "evaluation" / "fold_0"
    assert "the last one: it was not chosen" in (report / "model_card.md").read_text()
    assert (report / "training.png").exists()


def test_whichever_epoch_is_the_last_can_be_predicted_with(config, monkeypatch):
    config.evaluation.every_epochs = config.epochs = 5
    monkeypatch.setattr(loop, "refresh_statistics", lambda run, state: "renewed")
    made = types.SimpleNamespace(
        config=config, validation=None, schedule=lambda step: 0.1
    )
    progress = Progress(epoch=1, sums={"steps": 1, "loss": 0.5})
    state = types.SimpleNamespace(step=3, rate_scale=1.0)
    own = loop.Loop(made, None, None, None)
    assert own._evaluate(state, progress, Clock())[0] == "renewed"


def test_a_single_run_has_nobody_to_choose_by_and_a_cross_validation_its_tested_folds(
    run,
):
    with pytest.raises(ValueError, match="trained without a validation split"):
        postprocess.choose(run)
    rules = postprocess.choose(run.parent)
    card = json.loads((run.parent / "card.json").read_text())
    assert card["chosen_on"] == "fold_0" and card["tried"] > 1
    kept = cards.read(run.parent, ensembles.step_of(run.parent))
    assert kept.rules == rules
    assert not (run / "card.json").exists()


def test_where_every_patient_trains_there_is_nothing_to_score(run, data_dir, config):
    config.data.train += f"+{config.data.validation}+{config.data.test}"
    config.data.validation = config.data.test = ""
    config.data.cache = "host"
    config.epochs = 1
    folder = run.parent.parent / "all"
    for _ in range(2):  # the second time there is nothing to train, either
        assert train.train(config, folder) is None
        assert not (folder / "evaluation").exists()
    with pytest.raises(ValueError, match="neither a test nor a validation split"):
        evaluate.evaluate(folder)


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("evaluation.patience", 3, "evaluation.patience=3 waits for its scores"),
        ("schedule.name", "plateau", "schedule.name=plateau waits"),
    ],
)
def test_what_waits_for_its_scores_is_refused(config, key, value, said):
    config.data.validation = ""
    section, name = key.split(".")
    config[section][name] = value
    with pytest.raises(ValueError, match=said):
        checks.check_settings(config)
