"""Sliding windows: nothing is lost or counted twice, whatever the sizes and devices."""

import csv
import functools
import json
import tracemalloc

import jax
import nibabel
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from brainseg_jax import parallel
from brainseg_jax.data import sources
from brainseg_jax.inference import blending, post_processing, scoring, steps, windows
from brainseg_jax.inference.windows import Windows
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
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import objective
from configs import base
from tests import tiny_volumes

CLASSES = {"WT": [1, 2, 4], "TC": [1, 4], "ET": 4}
MEMBERS = ((1, 2, 4), (1, 4), (4,))
PAINTING = (("WT", 2), ("TC", 1), ("ET", 4))
TASK = segmentation.make_task(
    CLASSES, exclusive=False, threshold=0.5, painting=PAINTING
)
LOSS = objective.make_loss({"cross_entropy": {"weight": 1.0}}, TASK)
SCALING = np.repeat(np.array([[0.0], [100], [50], [10]], np.float32), 3, axis=1)
ONE = parallel.Devices("mesh", tuple(jax.devices()[:1]))

lengths, overlaps = st.integers(1, 23), st.floats(0, 0.9)


class Identity(nn.Module):
    """Logits that are the image."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        return image


class Blur(nn.Module):
    """Two convolutions: a logit depends on two positions either way."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        hidden = nn.relu(nn.Conv(4, (3,) * (image.ndim - 2))(image))
        return nn.Conv(3, (3,) * (image.ndim - 2))(hidden)


@functools.cache
def step_of(model, devices=ONE, mirror=()):
    return devices.eval_step(
        scoring.make_eval_step(model, TASK, LOSS, mirror, Windows((1,), 0, 1, "edge"))
    )


def make_image(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 100, (*shape, 3)).astype(np.int16)


def probabilities(image, size, share, model=None, variables=None, **options):
    """Blended probabilities, with the slabs joined."""
    devices = options.pop("devices", ONE)
    kept = []

    def keep(slab):
        kept.append(slab.copy())
        return np.zeros((*slab.shape[:-1], 1), np.uint8)

    blending.label_volume(
        step_of(model or Identity(), devices, **options),
        keep,
        variables or {},
        {"image": image, "scaling": SCALING},
        Windows(size, share, 4 if devices is ONE else 8, "edge"),
        devices,
    )
    return np.concatenate(kept)


def sigmoid(image):
    return 1 / (1 + np.exp(-(image.astype(float) - 50) / 10))


@given(lengths, lengths, overlaps)
def test_on_each_axis_windows_count_one_everywhere(length, size, share):
    axis = windows.make_axis(length, size, share)
    total = np.zeros(length)
    for start, weights in zip(axis.starts, axis.shares, strict=True):
        for place, weight in enumerate(weights):
            if 0 <= start + place < length:
                total[start + place] += weight
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    # Neighbours are apart by no more than the overlap leaves, and at least by one.
    apart = np.diff(axis.starts)
    assert (apart >= 1).all() and (apart <= max(1, int(size * (1 - share)))).all()


def test_a_window_counts_as_nnunets_gaussian_does():
    # 12 positions, windows of 8 at 0 and 4: at position 4 both count, by their distance
    # of 0.5 and 3.5 from the middles, in deviations of 8 / 8 = 1.
    axis = windows.make_axis(12, 8, 0.5)
    assert axis.starts == [0, 4]
    near, far = np.exp(-0.5 * 0.5**2), np.exp(-0.5 * 3.5**2)
    np.testing.assert_allclose(axis.shares[0, 4], near / (near + far), rtol=1e-6)
    np.testing.assert_allclose(axis.shares[1, 0], far / (near + far), rtol=1e-6)
    np.testing.assert_array_equal(axis.shares[0, :4], 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(lengths, min_size=2, max_size=3), st.sampled_from([4, 7]), overlaps)
def test_the_identity_comes_back_exactly(shape, size, share):
    size = (size, 5, 6)[: len(shape)]
    image = make_image(*shape)
    found = probabilities(image, size, share)
    assert found.shape == image.shape
    np.testing.assert_allclose(found, sigmoid(image), atol=2e-6)


@pytest.mark.parametrize(
    "shape, size", [((30, 35), (18, 18)), ((12, 20, 20), (12, 14, 14))]
)
def test_windows_give_what_the_whole_gives_where_they_see_enough(shape, size):
    image, model = make_image(*shape), Blur()
    normalised = (np.clip(image, 0, 100) - 50).astype(np.float32)[None] / 10
    variables = model.init(jax.random.key(0), normalised)
    whole = np.asarray(jax.nn.sigmoid(model.apply(variables, normalised)))[0]
    found = probabilities(image, size, 0.25, model, variables)
    clear = np.ones(shape, bool)  # no window's edge is within the two positions
    for axis, (one, length) in enumerate(
        zip(Windows(size, 0.25, 1, "edge").axes(shape), size, strict=True)
    ):
        edges = [*one.starts, *(start + length for start in one.starts)]
        places = np.arange(shape[axis])
        far = np.all([abs(places + 0.5 - edge) > 2 for edge in edges], axis=0)
        clear &= far.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    assert clear.any()
    np.testing.assert_allclose(found[clear], whole[clear], atol=1e-4)
    # Near a window's edge it counts next to nothing.
    np.testing.assert_allclose(found, whole, atol=0.1)


@pytest.mark.parametrize("mode", parallel.MODES)
@pytest.mark.parametrize("count", [2, 8])
def test_devices_agree(mode, count):
    image, model = make_image(7, 11, 9), Blur()
    variables = model.init(jax.random.key(0), np.zeros((1, 6, 6, 6, 3), np.float32))
    expected = probabilities(image, (6, 6, 6), 0.5, model, variables)
    devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
    placed = devices.replicate(variables)
    found = probabilities(image, (6, 6, 6), 0.5, model, placed, devices=devices)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_mirror_images_are_within_each_window():
    image, model = make_image(5, 6, 9), Blur()
    variables = model.init(jax.random.key(0), np.zeros((1, 6, 6, 6, 3), np.float32))
    flipped = probabilities(image[:, :, ::-1], (6, 6, 6), 0.5, model, variables)
    plain = probabilities(image, (6, 6, 6), 0.5, model, variables)
    expected = (plain + flipped[:, :, ::-1]) / 2
    mirror = ("horizontal",)
    found = probabilities(image, (6, 6, 6), 0.5, model, variables, mirror=mirror)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def blend_zeros(depth):
    size, shape = (8, 16, 16), (depth, 64, 64)
    grid = windows.grid(Windows(size, 0.5, 1, "edge").axes(shape))
    parts = ((window, np.zeros((*size, 3), np.float32)) for window in grid)
    return sum(len(slab) for _, slab in blending.blend(parts, shape, size))


def test_memory_does_not_grow_with_depth():
    peaks = []
    for depth in (32, 256):
        tracemalloc.start()
        assert blend_zeros(depth) == depth
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    slab = 8 * 64 * 64 * 3 * 4
    # The slab, and a copy of half of it; the list of windows is a few bytes each.
    assert slab < peaks[0] < 2 * slab
    assert peaks[1] < peaks[0] + slab / 2


def test_one_compiled_function_serves_volumes_of_all_sizes():
    compiled = []

    class Counting(nn.Module):
        @nn.compact
        def __call__(self, image, *, train=False, keys=None):
            compiled.append(image.shape)
            return image

    model = Counting()
    for shape in ((5, 6, 7), (9, 3, 12), (20, 20, 20)):
        probabilities(make_image(*shape), (4, 5, 6), 0.5, model)
    assert compiled == [(4, 4, 5, 6, 3)]


def test_labels_are_decided_and_counted_as_they_are_of_whole_examples():
    image = make_image(6, 7, 8)
    rng = np.random.default_rng(1)
    mask = rng.choice(np.array([0, 1, 2, 4], np.uint8), (6, 7, 8, 1))
    ordered = np.sort(image, axis=-1)[..., ::-1].copy()  # nested, as regions are
    example = {"image": ordered, "mask": mask, "scaling": SCALING}
    options = Windows((4, 4, 4), 0.5, 4, "edge")
    label = functools.partial(
        blending.label_volume, step_of(Identity()), blending.make_decide(TASK), {},
        windows=options, devices=ONE,
    )  # fmt: skip
    scored = scoring.score_labels(label, iter([example]), MEMBERS)
    batch = {name: values[None] for name, values in example.items()}
    whole = steps.eval_step(
        {}, {}, batch, model=Identity(), task=TASK, loss=LOSS, mirror=()
    )
    jax.tree.map(np.testing.assert_array_equal, scored.measured, whole["measured"])
    np.testing.assert_allclose(scored.loss, whole["loss"], rtol=0.2)
    np.testing.assert_array_equal(
        label(example).labels, TASK.predict(sigmoid(ordered)[None])[0]
    )


def test_counts_of_labels_by_hand():
    truth = np.array([0, 1, 2, 4, 4], np.uint8)[:, None]
    pred = np.array([2, 1, 4, 4, 0], np.uint8)[:, None]
    counts = overlap.counts_of_labels(overlap.label_table(pred, truth), MEMBERS)
    # Of WT {1, 2, 4}: found at 0 to 3, true at 1 to 4. ET {4}: found 2, 3, true 3, 4.
    assert counts.true_positives.tolist() == [[3, 2, 1]]
    assert counts.false_positives.tolist() == [[1, 1, 1]]
    assert counts.false_negatives.tolist() == [[1, 1, 1]]
    assert counts.true_negatives.tolist() == [[0, 1, 2]]
    with pytest.raises(ValueError, match="has shape"):
        overlap.label_table(pred, truth[:3])


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
