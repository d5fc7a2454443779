"""Classification from end to end on a small phantom, by the laws of segmentation."""

import csv
import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.data import sources
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.interrupt import Interrupted
from brainseg_jax.modes import evaluate, predict, train
from brainseg_jax.reports import classification
from brainseg_jax.runs import build, checkpoints, restore, scorable
from brainseg_jax.training import objective
from tests import tiny_classifier
from tests.whole_runs import fingerprint, scores_of, stopping

BATCH = {
    "image": np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), np.uint8),
    "label": np.array([0, 1], np.int32),
    "scaling": np.tile(np.float32([[0], [255], [127], [70]]), (2, 1, 3)),
}


@pytest.fixture
def config(data_dir):
    config = tiny_classifier.get_config()
    config.data.data_dir = str(data_dir)
    return config


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """An uninterrupted run of the tiny classifier."""
    config = tiny_classifier.get_config()
    config.data.data_dir = str(data_dir)
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    summary = train.train(config, str(workdir))
    return workdir, summary


def read(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.mark.slow  # in make test for segmentation, by the same loop
@pytest.mark.parametrize("part, after", [("train_step", 4), ("eval_step", 1)])
def test_resumed_run_equals_uninterrupted_run(
    finished, config, tmp_path, monkeypatch, part, after
):
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_run", stopping(after, part=part))
        with pytest.raises(Interrupted):
            train.train(config, str(tmp_path))
    train.train(config, str(tmp_path))
    expected, step, record = fingerprint(finished[0])
    found, found_step, found_record = fingerprint(tmp_path)
    assert (found, found_step) == (expected, step)
    # As text: a nan is not equal to itself.
    assert str(scores_of(found_record)) == str(scores_of(record))


def test_tables_and_pictures_say_what_was_decided(finished):
    workdir, summary = finished
    report = workdir / "evaluation" / "fold_4"
    slices, patients = read(report / "metrics.csv"), read(report / "patients.csv")
    right = [row["label"] == row["predicted"] for row in slices]
    assert np.mean(right) == pytest.approx(summary["slice_accuracy"])
    for row in slices:
        tumour = float(row["probability_tumour"])
        assert tumour + float(row["probability_no_tumour"]) == pytest.approx(1)
        assert (row["predicted"] == "tumour") == (tumour > 0.5)
        assert "PHANTOM" in row["note"]
    own = [float(row["accuracy"]) for row in patients]
    assert np.mean(own) == pytest.approx(summary["patient_accuracy"], abs=1e-5)
    cells = read(report / "confusion.csv")
    assert {row["by"] for row in cells} == {"slice", "patient"}
    counts = [float(row["count"]) for row in cells if row["by"] == "patient"]
    assert sum(counts) == pytest.approx(len(patients), abs=1e-5)
    written = json.loads((report / "summary.json").read_text())
    assert written["slice_auc"] == pytest.approx(summary["slice_auc"])
    # A patient has slices of both.
    assert written["patient_mean_probability_accuracy"] is None
    assert written["undefined"] == "nan" and written["note"].startswith("PHANTOM")
    pictures = ("confusion", "roc", "training", "patients", "panels")
    page = (report / "report.html").read_text()
    for name in pictures:
        assert (report / f"{name}.png").stat().st_size > 10_000
        assert f'alt="{name}.png"' in page


def test_history_and_logs_hold_the_tasks_own_scores(finished):
    history = read(finished[0] / "history.csv")
    assert float(history[-1]["validation_slice_auc"]) >= 0
    assert not any("dice" in name for name in history[0])


def test_evaluating_again_from_the_checkpoint_gives_the_same(finished):
    workdir, summary = finished
    assert evaluate.evaluate(str(workdir)) == pytest.approx(summary, nan_ok=True)


def test_evaluating_trained_patients_is_refused(finished):
    with pytest.raises(ValueError, match=r"patients .* were trained on.*contaminated"):
        evaluate.evaluate(str(finished[0]), "fold_0")


def test_data_with_other_labels_cannot_be_scored(finished, config):
    trained = restore.restore(finished[0]).record.about.info
    info = data_info.read_info(config.data.name, config.data.data_dir)
    other = dataclasses.replace(info, labels=("glioma", "meningioma"))
    with pytest.raises(ValueError, match=r"labels .*glioma.*no tumour"):
        scorable.check_kind(other, trained, ("channels", "labels"))


def test_predicted_classes_are_those_that_were_scored(finished, data_dir, tmp_path):
    workdir, _ = finished
    folds = restore.restore(workdir).record.about.info.folds
    patient = next(name for name, fold in folds.items() if fold == 4)
    folder = next((data_dir / "raw").rglob(patient))
    rows = predict.predict(str(workdir), [str(folder)], str(tmp_path / "out"))
    scored = {r["key"]: r for r in read(workdir / "evaluation/fold_4/metrics.csv")}
    assert len(rows) == 5
    for row in rows:
        expected = scored[pathlib.Path(row["file"]).stem]
        assert row["class"] == expected["predicted"]
        found = float(expected["probability_tumour"])
        assert row["probability_tumour"] == pytest.approx(found, abs=1e-4)
        assert row["normalised_by"] == "5 slices" and "PHANTOM" in row["note"]
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"predictions.csv", "predictions.json"}


def test_an_old_checkpoint_says_that_it_is_old(finished, monkeypatch):
    def old(self, number):
        record = read_record(self, number)
        del record["about"]["config"]["task"]
        return record

    read_record = checkpoints.Checkpoints.record
    monkeypatch.setattr(checkpoints.Checkpoints, "record", old)
    with pytest.raises(ValueError, match="older version of brainseg_jax"):
        restore.restore(finished[0])


def test_slices_with_tumour_alone_are_nothing_to_tell_apart(config, tmp_path):
    config.data.only_tumour = True
    with pytest.raises(ValueError, match=r"of one class, 'tumour'.*only_tumour=False"):
        build.make_run(config, tmp_path)


def test_a_score_that_is_never_known_cannot_be_watched(config, tmp_path):
    config.evaluation.metric = "patient_mean_probability_accuracy"
    with pytest.raises(ValueError, match="not defined on the validation split"):
        build.make_run(config, tmp_path)


def test_a_score_of_another_task_cannot_be_watched(config, tmp_path):
    config.evaluation.metric = "patient_dice"
    with pytest.raises(ValueError, match="slice_auc"):
        train.train(config, str(tmp_path))


def test_batches_have_labels_and_no_masks(config, tmp_path):
    run = build.make_run(config, tmp_path)
    assert "mask" not in run.resident
    np.testing.assert_array_equal(run.resident["label"], run.training.labels)
    np.testing.assert_array_equal(run.training.labels, run.training.tumour)
    source = sources.open_split(
        "lgg_mri/phantom",
        "fold_4",
        config.data.data_dir,
        size=(32, 32),
        normalisation={"name": "unit"},
        only_tumour=False,
        with_masks=False,
    )
    batch = source.take(np.array([2, 0]))
    assert batch.keys() == {"image", "label", "scaling"}
    np.testing.assert_array_equal(batch["label"], source.labels[[2, 0]])


def test_mirror_images_average_probabilities(finished):
    restored = restore.restore(finished[0])

    def probs(image, mirror=()):
        return inference_steps.probabilities(
            restored.variables,
            image,
            jnp.asarray(BATCH["scaling"]),
            image.shape[1:-1],
            model=restored.parts.model,
            task=restored.parts.task,
            mirror=mirror,
        )

    image = jnp.asarray(BATCH["image"])
    expected = (probs(image) + probs(image[:, :, ::-1])) / 2
    found = probs(image, ("horizontal",))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_loss_of_one_sigmoid_is_the_surprise_at_the_label(finished):
    restored = restore.restore(finished[0])
    found = inference_steps.eval_step(
        restored.variables,
        {},
        jax.tree.map(jnp.asarray, BATCH),
        model=restored.parts.model,
        task=restored.parts.task,
        loss=objective.make_loss(
            {"cross_entropy": {"weight": 1.0}}, restored.parts.task
        ),
        mirror=(),
    )
    given = found["measured"].probability[np.arange(2), BATCH["label"]]
    np.testing.assert_allclose(found["loss"], -np.log(given), rtol=1e-5)


def test_patients_of_one_label_are_scored_by_their_mean_probability(
    finished, config, tmp_path
):
    """As in data of tumour types: one label per patient, so patients are classified too."""
    workdir, _ = finished
    restored = restore.restore(workdir)
    source = sources.open_split(
        "lgg_mri/phantom",
        "fold_0+fold_4",
        config.data.data_dir,
        size=(32, 32),
        normalisation={"name": "unit"},
        only_tumour=False,
    )
    names = list(dict.fromkeys(source.patients))
    labels = np.array([names.index(name) % 2 for name in source.patients], np.int32)
    source = dataclasses.replace(source, labels=labels)
    probability = np.tile(np.float32([0.4, 0.6]), (len(source), 1))
    decided = restored.parts.task.measure(probability, {"label": labels})
    scored = Scored(np.zeros(len(source)), jax.tree.map(np.asarray, decided))
    rows = classification.tables(scored, source, restored.parts.task, "one")
    ways = {row["by"] for row in rows["confusion.csv"]}
    assert ways == {"slice", "patient", "patient_mean_probability"}
    assert {row["predicted"] for row in rows["patients.csv"]} == {"tumour"}
    # Of a patient's own slices neither is defined.
    assert not {"auc", "balanced_accuracy"} & rows["patients.csv"][0].keys()
    summary = classification.summarise(scored, source, restored.parts.task, "one")
    # All are called tumour, which every second patient is.
    share = np.mean([k % 2 for k in range(len(names))])
    assert summary["patient_mean_probability_accuracy"] == pytest.approx(share)
    defined = [name for name in classification.CURVES if not np.isnan(summary[name])]
    assert defined[:2] == ["patient_mean_probability_balanced_accuracy", "slice_auc"]
    classification.draw(
        restored.parts.task,
        source,
        scored,
        rows,
        tmp_path,
        predict=lambda index: pytest.fail("classes need no masks"),
        note="",
        title="Types",
    )
    assert (tmp_path / "confusion.png").exists()
