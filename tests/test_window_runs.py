"""Runs that are scored and predict in windows."""

import csv
import json

import jax
import nibabel
import numpy as np
import pytest

from brainseg_jax.data import sources
from brainseg_jax.inference import blending, post_processing, scoring
from brainseg_jax.metrics import overlap, surface_distances
from brainseg_jax.modes import evaluate, postprocess, predict, train
from brainseg_jax.runs import (
    build,
    cards,
    checks,
    ensembles,
    experiment,
    predictor,
    restore,
    scored_splits,
)
from configs import base
from tests import tiny_volumes
from tests.test_windows import MEMBERS, ONE


@pytest.fixture(scope="module")
def volumes_config(tmp_path_factory):
    """A small net of volumes that is trained on patches and scored in windows."""
    folder = tmp_path_factory.mktemp("volumes")
    config = base.get_config()
    with config.unlocked():
        config.data.name = tiny_volumes.build(folder)
        config.data.data_dir = str(folder)
        config.data.train, config.data.validation = "fold_0", "fold_1"
        config.data.test = ""
        config.data.size = config.data.patch = config.evaluation.window = (4, 8, 8)
        config.model.name = "unet3d"
        config.model.options = {"widths": (4, 6), "dropout": (0.0,)}
        config.batch_size, config.epochs = 2, 1
        for name in ("rotation", "shift", "scale"):
            config.augment[name] = 0.0
    return config


def predict_a_scan(workdir, image, expected, named=""):
    """The stored volume as NIfTI files has the labels that it has when it is evaluated."""
    scan = np.ascontiguousarray(image.transpose(2, 1, 0, 3)[::-1])  # from right to left
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    folder = workdir / "scan"
    folder.mkdir()
    for place, name in enumerate(("t1n", "t1c", "t2w", "t2f")):
        file = folder / f"a-{name}.nii.gz"
        nibabel.Nifti1Image(scan[..., place], affine).to_filename(file)
    (row,) = predict.predict(named or workdir, [str(folder)], str(workdir / "masks"))
    mask = nibabel.load(workdir / "masks" / row["mask"])
    np.testing.assert_array_equal(mask.affine, affine)
    found = np.asanyarray(mask.dataobj)[::-1].transpose(2, 1, 0)
    np.testing.assert_array_equal(found, expected[..., 0])
    assert row["post_processed"] is False
    assert (workdir / "masks" / "a_overlay.png").exists()


@pytest.mark.slow
def test_a_run_is_validated_evaluated_and_predicts_in_windows(
    volumes_config, tmp_path, monkeypatch
):
    two = jax.local_devices()[:2]
    monkeypatch.setattr(jax, "local_devices", lambda: two)
    summary = train.train(volumes_config, str(tmp_path))
    restored = restore.restore(tmp_path)
    (row,) = restored.record.progress.history
    assert row["validation_patient_dice"] == summary["patient_dice"]
    assert row["validation_loss"] == pytest.approx(summary["loss"], rel=1e-5)

    source = sources.open_split(
        volumes_config.data.name, "fold_1", volumes_config.data.data_dir, size=(),
        normalisation={"name": "volume_percentile"}, only_tumour=False,
    )  # fmt: skip
    image, mask = source.read_stored(0)
    labels = predictor.make_labeller(restored)(image, source.scaling[0])
    counts = overlap.counts_of_labels(overlap.label_table(labels, mask), MEMBERS)
    table = (tmp_path / "evaluation/fold_1/patients.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))[:3]
    assert [int(row["true_positives"]) for row in rows] == [*counts.true_positives[0]]
    assert [int(row["false_positives"]) for row in rows] == [*counts.false_positives[0]]

    # Voxels of 1 x 1 x 1 mm: a thousandth of the true ones.
    true = np.add(counts.true_positives, counts.false_negatives)[0] / 1000
    assert [float(row["ml_true"]) for row in rows] == pytest.approx([*true])
    assert {row["unit"] for row in rows} == {"mm"}
    truth = np.isin(mask[..., 0], MEMBERS[0])
    expected = surface_distances.score(
        np.isin(labels[..., 0], MEMBERS[0]), truth, (1.0,) * 3,
        convention="max_directed", tolerance=1.0, empty="one",
    )  # fmt: skip
    # Of the patient's two volumes the last has no tumour: it has no distance.
    assert float(rows[0]["hd95"]) == pytest.approx(expected.hd95, abs=1e-5)
    assert (tmp_path / "evaluation/fold_1/planes.png").exists()
    assert (
        'alt="planes.png"' in (tmp_path / "evaluation/fold_1/report.html").read_text()
    )

    predict_a_scan(tmp_path, image, labels)

    postprocess.choose(tmp_path)
    rules = post_processing.Rules(least_part=10**6)  # nothing is left
    cards.write(tmp_path, rules, restored.record.step, {})
    again = evaluate.evaluate(tmp_path)
    assert again["patient_dice"] == pytest.approx(summary["patient_dice"])
    report = json.loads((tmp_path / "evaluation/fold_1/summary.json").read_text())
    # Of the two volumes the last has no tumour: all is right there, nothing in the other.
    mended = report["post_processing"]
    assert mended["scores"]["patient_dice"] == 0.5
    assert "lesion_f1" in {row["score"] for row in mended["over_patients"]}


def whole_probabilities(restored, image, scaling):
    """Of one model, in windows as it was trained, before labels are decided."""
    settings, kept = restored.record.about.settings, []

    def keep(slab):
        kept.append(slab.copy())
        return np.zeros((*slab.shape[:-1], 1), np.uint8)

    task, model, loss, _ = restored.parts
    options = experiment.windows_of(settings)
    step = scoring.make_eval_step(
        model, task, loss, settings.evaluation.mirror, options
    )
    example = {"image": image, "scaling": scaling}
    blending.label_volume(
        ONE.eval_step(step), keep, restored.variables, example, options, ONE
    )
    return np.concatenate(kept)


@pytest.mark.slow
def test_two_runs_mark_what_the_mean_of_their_probabilities_says(
    volumes_config, tmp_path, monkeypatch
):
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    config, folders = volumes_config.copy_and_resolve_references(), []
    for config.seed in (0, 1):
        folders.append(tmp_path / str(config.seed))
        train.train(config, str(folders[-1]))
    named = ",".join(map(str, folders))
    evaluate.evaluate(named)
    both = ensembles.restore_all(named)
    source = scored_splits.open_source(both, "fold_1")
    image, mask = source.read_stored(0)
    members = [
        whole_probabilities(restore.restore(folder), image, source.scaling[0])
        for folder in folders
    ]
    assert np.abs(members[0] - members[1]).max() > 0.01
    mean = np.mean(members, axis=0)
    expected = np.asarray(both.parts.task.predict(mean[None]))[0]
    unsure = np.abs(mean - config.evaluation.threshold).min(-1) < 1e-5
    assert unsure.mean() < 0.01 and len(np.unique(expected)) > 1
    labels = predictor.make_labeller(both)(image, source.scaling[0])
    np.testing.assert_array_equal(labels[~unsure], expected[~unsure])

    table = folders[0] / "evaluation/ensemble_of_2_with_1/fold_1/patients.csv"
    rows = list(csv.DictReader(table.read_text().splitlines()))[:3]
    counts = overlap.counts_of_labels(overlap.label_table(labels, mask), MEMBERS)
    assert [int(row["true_positives"]) for row in rows] == [*counts.true_positives[0]]
    predict_a_scan(tmp_path, image, labels, named)

    postprocess.choose(named)
    card = json.loads((folders[0] / "card_ensemble_of_2_with_1.json").read_text())
    assert [*card["checkpoint_step"]] == [".", "../1"]


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("window", (4, 8), "has 3 numbers"),
        ("overlap", 1.0, "below 1"),
        ("window_batch", 0, "1 or more"),
    ],
)
def test_windows_that_cannot_be_are_refused(volumes_config, key, value, said):
    config = volumes_config.copy_and_resolve_references()
    config.evaluation[key] = value
    with pytest.raises(ValueError, match=f"config.evaluation.{key} .*{said}"):
        checks.check_settings(config)


def test_windows_are_of_the_scale_that_was_trained(
    volumes_config, tmp_path, monkeypatch
):
    one = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: one)
    config = volumes_config.copy_and_resolve_references()
    config.data.patch = ()
    with pytest.raises(ValueError, match=r"evaluation.window scores .* as they are"):
        build.make_run(config, tmp_path)
