"""Slices seen with those next to them: whose they are, and that every way agrees."""

import csv
import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax import parallel
from brainseg_jax.data import fitting, inputs, neighbours, reading, resident, sources
from brainseg_jax.data.scans import Scan
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.interrupt import Interrupted
from brainseg_jax.modes import evaluate, predict, train
from brainseg_jax.runs import build, pictures, restore, scan_labels, seen_scans
from tests import tiny_config, tiny_nets
from tests.test_predictions import write
from tests.whole_runs import fingerprint, stopping


@pytest.fixture
def load(data_dir):
    return functools.partial(
        sources.open_split,
        "lgg_mri/phantom",
        data_dir=data_dir,
        size=(64, 64),
        normalisation={"name": "image_standard"},  # of each slice by itself
        only_tumour=False,
    )


def test_the_last_slice_of_a_volume_stands_for_what_is_beyond():
    one, two = (neighbours.together(["a", "a", "b", "a"], reach) for reach in (1, 2))
    np.testing.assert_array_equal(one, [[0, 0, 1], [0, 1, 3], [2, 2, 2], [1, 3, 3]])
    np.testing.assert_array_equal(two[1], [0, 0, 1, 3, 3])


def test_channels_are_named_by_how_far_their_slice_is():
    found = neighbours.names(("T1", "FLAIR"), 1)
    assert found == ("T1[-1]", "FLAIR[-1]", "T1", "FLAIR", "T1[+1]", "FLAIR[+1]")
    assert neighbours.names(("T1", "FLAIR"), 0) == ("T1", "FLAIR")


@pytest.mark.parametrize("size", [(16, 16), (25, 21), (50, 60)])
def test_a_joined_image_is_resized_as_its_slices_are(size):
    slices = np.random.default_rng(0).integers(0, 255, (3, 32, 40, 3), np.uint8)
    found = neighbours.resize(neighbours.join([*slices]), size, 1)
    each = [fitting.resize_image(one, size) for one in slices]
    np.testing.assert_array_equal(found, np.concatenate(each, -1))


def test_slices_are_joined_within_their_patient_each_with_its_own_numbers(load):
    alone, joined = load("fold_0+fold_1"), load("fold_0+fold_1", reach=1)
    images = np.stack([alone.example(i)["image"] for i in range(len(alone))])
    for place, patient in enumerate(alone.patients):
        for column, beside in enumerate((place - 1, place, place + 1)):
            inside = 0 <= beside < len(alone) and alone.patients[beside] == patient
            shown = beside if inside else place
            channels = slice(3 * column, 3 * column + 3)
            own = joined.example(place)["image"][..., channels]
            np.testing.assert_array_equal(own, images[shown])
            numbers = joined.scaling[place][:, channels]
            np.testing.assert_array_equal(numbers, alone.scaling[shown])


@pytest.mark.parametrize("mode", ["pmap", "mesh"])
@pytest.mark.parametrize("count", [1, 2, 8])
def test_devices_join_what_the_host_joins(load, mode, count):
    """Law 2: what a step begins with is the same, however many devices there are."""
    source = reading.keep_decoded(load("fold_0+fold_1", reach=1))
    devices = parallel.Devices(mode, tuple(jax.devices()[:count]))
    chosen = np.array([4, 0, 2, 9, 5, 5, 1, 3])

    def step(variables, resident, batch):
        return inputs.assemble(resident, batch)

    run = devices.eval_step(step)
    variables = devices.replicate({"params": jnp.zeros(1)})
    kept = devices.replicate(resident.arrays_of(source))
    index = devices.shard({"index": chosen.astype(np.int32)})
    found = devices.gather(run(variables, kept, index))
    expected = devices.gather(run(variables, {}, devices.shard(source.take(chosen))))
    assert found["image"].shape == (8, 64, 64, 9)
    for name in ("image", "share", "label"):
        np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize(
    "split, options", [("leaky_train", {}), ("fold_0", {"only_tumour": True})]
)
def test_a_split_of_some_slices_is_refused(load, split, options):
    with pytest.raises(ValueError, match=r"neighbours is 1, but .* only some slices"):
        load(split, reach=1, **options)


@pytest.mark.parametrize(
    "numbers, reach, lacking",
    [
        ([1, 2, 3, 5, 6], 1, [3, 5]),  # 4 is missing
        ([1, 2, 3, 5, 6], 2, [2, 3, 5, 6]),
        ([1, 2, 3, 5, 6], 0, []),
        ([2, 4, 6, 8], 1, []),  # numbered so
        ([1, 3], 1, []),  # nothing says that they are not
        ([7], 1, []),
    ],
)
def test_slices_beside_a_gap_are_known_by_their_numbers(numbers, reach, lacking):
    found = neighbours.lacking(numbers, reach)
    assert np.array(numbers)[found].tolist() == lacking


def test_pictures_beside_one_that_cannot_be_read_say_so(tmp_path):
    about = tiny_nets.restored().record.about
    data = {**about.config["data"], "neighbours": 1}
    about = dataclasses.replace(about, config={**about.config, "data": data})
    paths = [write(tmp_path / f"p_{number}.png") for number in range(8, 13)]
    paths[3].write_bytes(b"damaged")  # p_11
    failed = []
    examples = pictures.of_volume(
        "p", paths, about, lambda path, _: failed.append(path), asked=paths
    )
    doubtful = {one.path.stem: pictures.FAR in one.warnings for one in examples}
    assert doubtful == {"p_8": False, "p_9": False, "p_10": True, "p_12": True}
    assert failed == paths[3:4]


def test_slices_of_a_scan_are_seen_with_those_below_and_above():
    levels = np.array([10, 20, 30], np.uint8)  # from below upwards
    image = np.broadcast_to(levels[:, None, None, None], (3, 4, 4, 1)).copy()
    scan = Scan(image, (1.0, 1.0, 1.0), (4, 4, 3), np.eye(4), None)
    shown = []

    def label(seen, scaling, grid):
        shown.append(seen[0, 0].tolist())
        assert scaling.shape == (4, 3)
        return np.zeros((*grid.shape, 1), np.uint8)

    seen = seen_scans.as_slices(scan, "axial", {"name": "unit"}, 1)
    scan_labels.of_slices(label, seen, Rules())
    assert shown == [[10, 10, 20], [10, 20, 30], [20, 30, 30]]


@pytest.fixture(scope="module")
def seen_together(data_dir, tmp_path_factory):
    """A finished run of the tiny config with one neighbour on either side."""
    workdir = tmp_path_factory.mktemp("neighbours") / "run"
    config = with_neighbours(data_dir)
    return workdir, train.train(config, str(workdir))


def with_neighbours(data_dir):
    config = tiny_config.get_config()
    config.data.data_dir, config.data.neighbours = str(data_dir), 1
    return config


@pytest.mark.slow
def test_a_resumed_run_with_neighbours_equals_an_uninterrupted_one(
    seen_together, data_dir, tmp_path, monkeypatch
):
    """Law 3, by another cache too: the host joins what the device joined."""
    config = with_neighbours(data_dir)
    with monkeypatch.context() as patch:
        patch.setattr(build, "make_run", stopping(4))
        with pytest.raises(Interrupted):
            train.train(config, str(tmp_path))
    config.data.cache = "host"
    train.train(config, str(tmp_path))
    assert fingerprint(tmp_path)[:2] == fingerprint(seen_together[0])[:2]


@pytest.mark.slow
def test_pictures_are_predicted_as_they_were_scored(seen_together, data_dir, tmp_path):
    """Law 7: the checkpoint alone says that slices are seen together."""
    workdir, summary = seen_together
    assert evaluate.evaluate(workdir) == pytest.approx(summary)
    restored = restore.restore(workdir)
    assert restored.parts.shape[-1] == 9
    folds = restored.record.about.info.folds
    patient = next(name for name, fold in folds.items() if fold == 4)
    folder = next((data_dir / "raw").rglob(patient))
    rows = predict.predict(str(workdir), [str(folder)], str(tmp_path / "out"))
    with open(workdir / "evaluation/fold_4/metrics.csv") as file:
        scored = {row["key"]: row for row in csv.DictReader(file)}
    for row in rows:
        counts = scored[pathlib.Path(row["file"]).stem]
        expected = int(counts["true_positives"]) + int(counts["false_positives"])
        assert row["pixels"] == expected


@pytest.mark.slow
def test_a_lone_slice_says_that_it_lacks_its_neighbours(
    seen_together, data_dir, tmp_path
):
    picture = next((data_dir / "raw").rglob("*_3.tif"))
    rows = predict.predict(str(seen_together[0]), [str(picture)], str(tmp_path / "out"))
    assert "seen without the slices next to it" in rows[0]["warnings"]
