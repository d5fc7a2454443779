"""What a checkpoint says of its run, in today's form and in an earlier one."""

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.runs import checkpoints, experiment, records, restore, resume
from brainseg_jax.runs.records import About, Progress
from brainseg_jax.training import state
from brainseg_jax.training.optimisers import Plateau
from tests import tiny_config

INFO = data_info.described(
    "lgg_mri/phantom",
    channels="abc",
    classes={"tumour": 255},
    labels=("none", "tumour"),
)


def make_about(**changes):
    config = tiny_config.get_config().to_dict()
    fields = {
        "config": config,
        "data": {**INFO.to_record(), "version": "1", "folds": {"a": 0, "b": 1, "c": 4}},
        "note": "PHANTOM",
        "trained_patients": ("a",),
        "validation_patients": ("b",),
        "parameters": 3,
        "batch_statistics": 1,
        "environment": {},
    }
    return About(**{**fields, **changes})


def earlier_record(about, **moving):
    """As records were before: one flat table, fewer keys, no patients of validation."""
    flat = {**vars(about), "epoch": 1, "sums": {}, "scores": {}, "history": []}
    flat |= {
        "best_score": None,
        "best_epoch": None,
        "waited": 0,
        "plateau": [None, 0, 1],
    }
    del flat["validation_patients"]
    flat = copy.deepcopy({**flat, "step": 7, **moving})
    del flat["config"]["augment"]["fill"]
    return flat


def test_a_record_comes_back_as_it_was_saved():
    about = make_about()
    progress = Progress(
        epoch=2,
        sums={"steps": 1},
        history=({"epoch": 1},),
        plateau=Plateau(0.5, 1, 0.1),
    )
    saved = json.loads(json.dumps({**records.to_json(about, progress), "step": 9}))
    record = records.from_json(saved)
    assert record.progress == progress and record.step == 9 and record.current
    assert record.about.info.folds == {"a": 0, "b": 1, "c": 4}
    assert record.about.settings.model.name == "resunet"


def test_what_is_saved_shares_nothing_with_the_run():
    progress = Progress(sums={"steps": 1}, history=({"epoch": 1},))
    saved = records.to_json(make_about(), progress)
    progress.history[0]["epoch"] = 2
    assert saved["progress"]["history"] == [{"epoch": 1}]


def test_scores_that_had_other_names_have_todays():
    about = make_about()
    about.config["evaluation"]["metric"] = "patient_vote_auc"
    moved = {"history": ({"epoch": 1, "validation_label_patient_vote_auc": 0.5},)}
    saved = {**records.to_json(about, Progress(**moved)), "step": 9}
    record = records.from_json(saved)
    metric = record.about.config["evaluation"]["metric"]
    assert metric == "patient_mean_probability_auc"
    known = {"epoch": 1, "validation_label_patient_mean_probability_auc": 0.5}
    assert record.progress.history == (known,)


def test_a_record_of_an_earlier_version_is_understood():
    record = records.from_json(earlier_record(make_about(), history=[{"epoch": 1}]))
    assert not record.current and record.step == 7
    assert record.progress.history == ({"epoch": 1},)
    # fold_1 was its validation split, so the epoch was chosen by patient b.
    assert record.about.validation_patients == ("b",)
    assert record.about.config["augment"]["fill"] == "edge"


def test_a_run_of_an_earlier_version_cannot_go_on_but_says_what_it_can(tmp_path):
    record = records.from_json(earlier_record(make_about()))
    with pytest.raises(ValueError, match=r"cannot go on.*--config\.init_from="):
        resume.check_config(dict(record.about.config), record, tmp_path)
    resume.check_config(dict(record.about.config), record, tmp_path, goes_on=False)


@pytest.mark.parametrize("average", [True, False])
def test_weights_of_an_earlier_version_are_evaluated_as_they_were(tmp_path, average):
    """Its average was of the weights alone; statistics were those that trained."""
    about = make_about()
    about.config["ema_decay"] = 0.9 if average else 0.0
    parts = experiment.make_parts(about.settings, about.info)
    shape = (1, 32, 32, 3)
    made = state.create_state(parts.model, optax.sgd(0.1), jax.random.key(0), shape)
    averaged = jax.tree.map(lambda leaf: leaf + 1, made.params)
    with checkpoints.Checkpoints(tmp_path) as saved:
        written = made.replace(average=averaged if average else {})
        saved.save(written, earlier_record(about), 0.5)
    restored = restore.restore(tmp_path)
    expected = {
        "params": averaged if average else made.params,
        "batch_stats": made.batch_stats,
    }
    jax.tree.map(np.testing.assert_array_equal, restored.variables, expected)
    logits = restored.parts.model.apply(restored.variables, jnp.zeros(shape))
    assert logits.shape == (1, 32, 32, 1)
