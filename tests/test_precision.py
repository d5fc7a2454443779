"""How exactly devices multiply is what the run's config says, in every mode."""

import jax
import jax.extend
import numpy as np
import pytest

from brainseg_jax.benchmarks import epoch
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.modes import evaluate, predict, train
from brainseg_jax.runs import (
    experiment,
    precision,
    records,
    restore,
    scored_splits,
)
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective, optimisers, state, steps
from tests.test_records import make_about


class Opened(Exception):
    """Raised in place of the work behind the door."""


@pytest.fixture(autouse=True)
def forget():
    yield
    jax.config.update("jax_default_matmul_precision", None)


def in_effect():
    return jax.config.jax_default_matmul_precision


def stop(*arguments, **options):
    raise Opened


def products(function, *arguments):
    """The precision of every convolution and matrix product, also in inner functions."""
    found = []

    def look(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                found.append(equation.params["precision"])
            for inner in jax.extend.core.jaxprs_in_params(equation.params):
                look(inner)

    look(jax.make_jaxpr(function)(*arguments).jaxpr)
    return found


def test_a_config_of_before_the_key_has_the_default(config):
    old = config.to_dict()
    del old["matmul_precision"]
    assert records.with_later_keys(old)["matmul_precision"] == "default"


def test_training_and_benchmark_go_by_their_config(config, tmp_path, monkeypatch):
    config.matmul_precision = "highest"
    monkeypatch.setattr(train.build, "make_run", stop)
    with pytest.raises(Opened):
        train.train(config, str(tmp_path))
    assert in_effect() == "highest"
    config.matmul_precision = "high"
    monkeypatch.setattr(epoch.build, "make_run", stop)
    with pytest.raises(Opened):
        epoch.benchmark(config)
    assert in_effect() == "high"


def test_evaluating_and_predicting_go_by_the_checkpoint(config, tmp_path, monkeypatch):
    config.matmul_precision = "highest"
    about = make_about(config=config.to_dict())
    record = records.Record(about, records.Progress(), 0)
    parts = experiment.make_parts(about.settings, about.info)
    restored = restore.Restored(record, parts, {})
    monkeypatch.setattr(restore, "restore", lambda workdir: restored)
    monkeypatch.setattr(scored_splits.sources, "open_split", stop)
    with pytest.raises(Opened):
        evaluate.evaluate(tmp_path)
    assert in_effect() == "highest"
    jax.config.update("jax_default_matmul_precision", None)
    (tmp_path / "a.png").touch()
    monkeypatch.setattr(predict.image_files, "group_volumes", stop)
    with pytest.raises(Opened):
        predict.predict("run", [str(tmp_path / "a.png")], str(tmp_path.parent / "out"))
    assert in_effect() == "highest"


def test_every_product_of_training_and_predicting_has_it(config):
    precision.set_precision({"matmul_precision": "highest"})
    model = experiment.make_model(
        "resunet", config.model.options.to_dict(), outputs=1, dtype="float32"
    )
    optimizer = optimisers.make_optimizer(lambda step: 1e-3, **config.optimizer)
    fresh = state.create_state(model, optimizer, jax.random.key(0), (1, 32, 32, 3))
    batch = {
        "place": np.arange(2),
        "image": np.zeros((2, 32, 32, 3), np.uint8),
        "share": np.zeros((2, 32, 32, 1), np.uint8),
        "scaling": np.ones((2, 4, 3), np.float32),
    }
    task = segmentation.make_task({"tumour": 255}, exclusive=False, threshold=0.5)
    loss = objective.make_loss({"dice": {"weight": 1.0, "class_weights": (1.0,)}}, task)

    def train_step(fresh, batch):
        return steps.train_step(
            fresh,
            {},
            batch,
            jax.random.key(0),
            model=model,
            optimizer=optimizer,
            loss=loss,
            augment=lambda keys, batch: batch,
            mean=lambda values: values,
            average_decay=0.0,
            frozen=frozenset(),
        )

    def predict(variables, batch):
        return inference_steps.probabilities(
            variables,
            batch["image"],
            batch["scaling"],
            (64, 64),
            model=model,
            task=task,
            mirror=(),
        )

    for found in (
        products(train_step, fresh, batch),
        products(predict, fresh.variables, batch),
    ):
        assert len(found) > 8
        assert set(found) == {(jax.lax.Precision.HIGHEST,) * 2}
