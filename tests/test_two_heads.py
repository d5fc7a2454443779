"""One net for a mask and a class of the image: its parts by hand, and a whole run."""

import csv
import dataclasses
import json
import math

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.data import sources
from brainseg_jax.inference import steps as inference_steps
from brainseg_jax.interrupt import Interrupted
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.modes import evaluate, predict, train
from brainseg_jax.reports import segmentation_and_classification as report
from brainseg_jax.runs import build, experiment, restore
from brainseg_jax.tasks import segmentation_and_classification
from brainseg_jax.training import objective
from tests import small_slices, tiny_two_heads
from tests.whole_runs import fingerprint, scores_of, stopping

TASK = segmentation_and_classification.make_task(
    {"tumour": 1}, ("meningioma", "glioma", "pituitary"), exclusive=False, threshold=0.5
)
INFO = data_info.described(
    "a/b",
    channels=["t1"],
    classes={"glioma": 1, "meningioma": 2},
    labels=["glioma", "meningioma"],
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slices")
    # Of five folds the classes take turns in steps of three: each has all of them.
    raw = small_slices.write_tree(folder / "raw", patients=15)
    small_slices.build(raw, folder / "data")
    return folder / "data"


@pytest.fixture
def config(data):
    config = tiny_two_heads.get_config()
    config.data.data_dir = str(data)
    return config


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """An uninterrupted run."""
    config = tiny_two_heads.get_config()
    config.data.data_dir = str(data)
    workdir = tmp_path_factory.mktemp("runs") / "whole"
    return workdir, train.train(config, str(workdir))


def read(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_each_head_has_its_own_target_and_prediction():
    mask = jnp.array([0, 1, 1, 0], jnp.uint8).reshape(1, 2, 2, 1)
    target = TASK.target({"mask": mask, "label": jnp.array([2])})
    np.testing.assert_array_equal(target.mask, mask)
    np.testing.assert_array_equal(target.label, [2])
    assert TASK.outputs == Heads(1, 3) and TASK.exclusive == Heads(False, True)

    logits = Heads(20.0 * mask - 10, jnp.log(jnp.array([[0.2, 0.5, 0.3]])))
    probs = TASK.probabilities(logits)
    np.testing.assert_allclose(probs.label, [[0.2, 0.5, 0.3]], rtol=1e-6)
    found = TASK.predict(probs)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_array_equal(found.label, [1])
    counts = TASK.measure(probs, {"mask": mask, "label": jnp.array([2])})
    np.testing.assert_array_equal(counts.mask.true_positives, [[2]])
    np.testing.assert_array_equal(counts.label.label, [2])


def test_masks_are_resized_and_unflipped_and_classes_stay():
    maps = jnp.arange(4.0).reshape(1, 2, 2, 1)
    pair = Heads(maps, jnp.array([[0.1, 0.2, 0.7]]))
    flipped = TASK.unflip(pair, (2,))
    np.testing.assert_array_equal(flipped.mask[0, ..., 0], [[1, 0], [3, 2]])
    np.testing.assert_array_equal(flipped.label, pair.label)
    resized = TASK.resize(pair, (4, 4))
    assert resized.mask.shape == (1, 4, 4, 1)
    np.testing.assert_array_equal(resized.label, pair.label)


def test_the_losses_of_both_heads_are_added_by_their_weights():
    # Logits of 0: a half for each pixel, a third for each class, whatever the target.
    loss = objective.join(
        Heads(
            {"cross_entropy": {"weight": 2.0}}, {"cross_entropy": {"weight": 0.5}}
        ).map(objective.make_loss, TASK.heads)
    )
    logits = Heads(jnp.zeros((2, 4, 4, 1)), jnp.zeros((2, 3)))
    batch = {"mask": jnp.ones((2, 4, 4, 1), jnp.uint8), "label": jnp.array([0, 2])}
    total, terms = loss(logits, batch)
    of_mask, of_label = 2 * math.log(2), 0.5 * math.log(3)
    np.testing.assert_allclose(total, 2 * [of_mask + of_label], rtol=1e-6)
    np.testing.assert_allclose(terms["mask_loss"], 2 * [of_mask], rtol=1e-6)
    np.testing.assert_allclose(terms["label_loss"], 2 * [of_label], rtol=1e-6)
    assert terms.keys() == {"mask_loss", "label_loss"}


def test_of_several_losses_of_a_head_each_is_told():
    loss = objective.join(
        Heads(
            {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}},
            {"cross_entropy": {"weight": 1.0}},
        ).map(objective.make_loss, TASK.heads)
    )
    logits = Heads(jnp.zeros((1, 4, 4, 1)), jnp.zeros((1, 3)))
    batch = {"mask": jnp.ones((1, 4, 4, 1), jnp.uint8), "label": jnp.array([0])}
    _, terms = loss(logits, batch)
    names = {"mask_loss", "mask_dice", "mask_cross_entropy", "label_loss"}
    assert terms.keys() == names
    both = terms["mask_dice"] + terms["mask_cross_entropy"]
    np.testing.assert_allclose(terms["mask_loss"], both, rtol=1e-6)


def test_mirror_images_average_the_probabilities_of_each_head():
    config = tiny_two_heads.get_config()
    parts = experiment.make_parts(config, INFO)
    image = jax.random.normal(jax.random.key(0), (2, 32, 32, 1))
    variables = parts.model.init(jax.random.key(1), image)

    def run(image, mirror=()):
        return inference_steps.run_model(
            variables, image, model=parts.model, task=parts.task, mirror=mirror
        ).probs

    plain, other = run(image), run(image[:, :, ::-1])
    found = run(image, ("horizontal",))
    near = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(
        found.mask, (plain.mask + other.mask[:, :, ::-1]) / 2, **near
    )
    np.testing.assert_allclose(found.label, (plain.label + other.label) / 2, **near)


@pytest.mark.parametrize(
    "model, task, said",
    [
        ("two_headed_unet", "segmentation", "gives masks and classes"),
        ("unet", "segmentation_and_classification", "masks or classes, not both"),
    ],
)
def test_a_net_of_other_heads_than_the_task_is_refused(model, task, said):
    config = tiny_two_heads.get_config()
    config.model.name, config.task.name = model, task
    with pytest.raises(ValueError, match=said):
        experiment.make_parts(config, INFO)


@pytest.mark.slow
def test_a_run_scores_both_heads_in_one_report(finished, data):
    workdir, summary = finished
    np.testing.assert_equal(evaluate.evaluate(workdir, data_dir=str(data)), summary)
    folder = workdir / "evaluation/fold_4"
    written = json.loads((folder / "summary.json").read_text())
    both = [written[name] for name in report.BOTH]
    assert written["dice_and_balanced_accuracy"] == pytest.approx(sum(both) / 2)
    # Two kinds of accuracy: of pixels and of slices.
    assert {"mask_patient_accuracy", "label_patient_accuracy"} <= written.keys()
    assert written["label_patient_mean_probability_accuracy"] is not None

    labels, masks = (read(folder / head / "metrics.csv") for head in ("label", "mask"))
    assert {row["label"] for row in labels} <= {"meningioma", "glioma", "pituitary"}
    right = [row["label"] == row["predicted"] for row in labels]
    assert written["label_slice_accuracy"] == pytest.approx(np.mean(right))
    assert [row["key"] for row in masks] == [row["key"] for row in labels]
    mean = np.mean([float(row["dice"]) for row in masks])
    assert written["mask_slice_dice"] == pytest.approx(mean, abs=1e-5)
    of_glioma = [
        float(mask["dice"])
        for mask, label in zip(masks, labels, strict=True)
        if label["label"] == "glioma"
    ]
    found = written["mask_slice_dice_of_glioma"]
    assert found == pytest.approx(np.mean(of_glioma), abs=1e-5)
    drawn = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    of_label = ("calibration", "confusion", "roc", "patients", "panels", "failures")
    of_mask = ("calibration", "patients", "panels", "failures")
    assert drawn == {
        "training.png",
        *(f"label/{name}.png" for name in of_label),
        *(f"mask/{name}.png" for name in of_mask),
    }
    page = (folder / "report.html").read_text()
    assert not [name for name in drawn if f'alt="{name}"' not in page]
    (first, *_) = read(workdir / "history.csv")
    assert float(first["train_loss"]) == pytest.approx(
        float(first["train_mask_loss"]) + float(first["train_label_loss"]), rel=1e-5
    )


@pytest.mark.slow
def test_predict_writes_masks_and_classes(finished, tmp_path):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 4000, (24, 30), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    out = tmp_path / "out"
    (row,) = predict.predict(str(finished[0]), [str(tmp_path / "a.png")], str(out))
    probabilities = {
        name: value for name, value in row.items() if name.startswith("probability_")
    }
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert row["class"] == max(probabilities, key=probabilities.get)[12:]
    mask = cv2.imread(str(out / "a_mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (24, 30) and (mask > 0).sum() == row["pixels"]
    assert (out / "a_overlay.png").exists()
    assert read(out / "predictions.csv")[0]["class"] == row["class"]


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


@pytest.mark.slow
def test_another_run_starts_from_its_encoder_and_masks(finished, config, tmp_path):
    config.init_from = str(finished[0])
    config.task.foreground = ""  # three maps: the mask's head is drawn anew
    config.epochs = 1
    train.train(config, str(tmp_path))
    about = restore.restore(tmp_path).record.about
    assert about.info.classes == {"meningioma": 1, "glioma": 2, "pituitary": 3}


def test_only_scores_that_validation_can_define_are_watched(config, tmp_path):
    config.evaluation.metric = "label_patient_auc"  # a patient's slices have one label
    with pytest.raises(ValueError, match="metric=label_patient_auc is not defined"):
        build.make_run(config, tmp_path)


@pytest.mark.parametrize(
    "metric, there",
    [
        ("mask_patient_dice_of_glioma", "and slices of meningioma, pituitary"),
        ("mask_slice_dice_of_glioma", "and slices of meningioma, pituitary"),
        ("label_slice_f1_glioma", "none is of it"),
    ],
)
def test_a_score_of_a_kind_that_validation_lacks_is_not_watched(data, metric, there):
    opened = sources.open_split(
        "figshare_brain_tumor/phantom",
        "fold_3",
        data,
        size=(32, 32),
        normalisation={"name": "unit"},
        only_tumour=False,
        foreground="tumour",
    )
    report.check_examples(opened, opened, TASK, metric)
    glioma = opened.info.labels.index("glioma")
    without = dataclasses.replace(
        opened, labels=np.where(opened.labels == glioma, 0, opened.labels)
    )
    said = f"metric={metric} .*{there}.*config.data.validation"
    with pytest.raises(ValueError, match=said):
        report.check_examples(opened, without, TASK, metric)
