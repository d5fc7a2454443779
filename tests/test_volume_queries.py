"""Explanations and similar cases of volumes: of a split and of scans, by one net or two."""

import csv
import json

import cv2
import jax.numpy as jnp
import nibabel
import numpy as np
import pytest
from flax import linen as nn

from brainseg_jax.data import info as data_info
from brainseg_jax.inference import ensemble
from brainseg_jax.models.parts import bottleneck
from brainseg_jax.modes import explain, similar
from brainseg_jax.runs import experiment, queries
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Record, Restored
from brainseg_jax.training import objective
from configs import base
from tests import tiny_volumes

FILES = ("t1", "t1ce", "t2", "flair")


class Shares(nn.Module):
    """Features are the channels; each region's logit is one of them, less a half."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        # Two, for pmap takes three arrays in all as if each had an axis of its own.
        bias, slope = (
            self.param(name, nn.initializers.zeros, (1,) * 5)
            for name in ("bias", "slope")
        )
        features = bottleneck.mark(self, image)
        return (4 + slope) * (features[..., :3] - 0.5) + bias


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    return folder, tiny_volumes.build(folder)


@pytest.fixture(scope="module")
def net(stored):
    """On random volumes, in windows."""
    config = base.get_config()
    config.data.update(
        name=stored[1], data_dir=str(stored[0]), train="fold_0", validation="fold_1"
    )
    config.data.test = ""
    config.data.normalisation.name = "unit"
    config.data.size = config.evaluation.window = (4, 6, 6)
    info = data_info.read_info(stored[1], stored[0])
    task = experiment.task_of(config, info)
    loss = objective.make_loss({"dice": {"weight": 1.0}}, task)
    parts = experiment.Parts(task, Shares(), loss, (1, 4, 6, 6, 4))
    about = About(config.to_dict(), info.to_record(), "PHANTOM", (), (), 0, 0, {})
    zeros = jnp.zeros((1,) * 5)
    return Restored(
        Record(about, None, 0), parts, {"params": {"bias": zeros, "slope": zeros}}
    )


def twice(net):
    """Two of them as one, the second of which marks more."""
    more = {"params": {"bias": net.variables["params"]["bias"] + 1,
                       "slope": net.variables["params"]["slope"]}}  # fmt: skip
    model = ensemble.Ensemble((Shares(), Shares()), False)
    return net._replace(
        parts=net.parts._replace(model=model),
        variables=ensemble.join([net.variables, more]),
    )


@pytest.fixture
def given(monkeypatch, net):
    """Lets --workdir be that net, or two."""

    def give(chosen=net):
        monkeypatch.setattr(queries, "restore", lambda _: chosen)
        monkeypatch.setattr(similar.restore, "read_best", lambda _: net.record)

    give()
    return give


def write_scan(folder, number):
    """A stored volume as the files of a scan."""
    image, _ = tiny_volumes.make_volume(number)
    folder.mkdir(parents=True)
    for place, name in enumerate(FILES):
        voxels = np.ascontiguousarray(image[..., place].transpose(2, 1, 0))
        path = folder / f"patient_{number}_{name}.nii.gz"
        nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(path)
    return str(folder)


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("several", [False, True])
def test_volumes_of_a_split_are_explained(given, net, tmp_path, several):
    given(twice(net) if several else net)
    explain.explain("run", [], str(tmp_path))
    rows = rows_of(tmp_path / "explanations.csv")
    assert {row["patient"] for row in rows} == {"patient_4", "patient_5"}
    assert {row["explained"] for row in rows} == {"WT", "TC", "ET"}
    for row in rows:
        depth, *plane = tiny_volumes.SHAPES[int(row["patient"][-1])]
        for name in ("picture", "hottest"):
            assert cv2.imread(str(tmp_path / row[name])).shape[:2] == tuple(plane)
        assert 0 <= int(row["plane"]) < depth and 0 <= int(row["hottest_plane"]) < depth
        # The last has no tumour, so that there is no share.
        assert (row["share_in_tumour"] == "nan") == (row["patient"] == "patient_5")
        if several:
            assert float(row["agreement"]) == pytest.approx(1, abs=1e-3)
    assert ("agreement" in rows[0]) == several
    summary = json.loads((tmp_path / "explanations.json").read_text())["summary"]
    assert [one["patients"] for one in summary] == [1] * 3
    assert (tmp_path / "examples.png").exists()


def test_a_scan_is_explained_as_the_stored_volume_is(given, tmp_path):
    explain.explain("run", [], str(tmp_path / "split"))
    folder = write_scan(tmp_path / "in", 4)
    (tmp_path / "in" / "b_t1.nii.gz").write_bytes(b"")
    with pytest.raises(
        queries.UnreadableImage, match="1 of 2 files.*\n.*b has no file"
    ):
        explain.explain("run", [folder], str(tmp_path / "out"))
    for region in ("WT", "TC", "ET"):
        own, known = (
            cv2.imread(str(tmp_path / place / f"patient_4_{region}_hottest.png"))
            for place in ("out", "split")
        )
        white = (known == 255).all(-1)  # the line of the truth, which a scan has not
        np.testing.assert_array_equal(own[~white], known[~white])


@pytest.mark.parametrize("several", [False, True])
def test_a_scan_finds_itself_and_is_left_out_by_its_name(given, net, tmp_path, several):
    given(twice(net) if several else net)
    run = str(tmp_path / "run")
    rows = similar.look_up(
        run, [write_scan(tmp_path / "other", 4)], str(tmp_path / "out"), split="fold_1"
    )
    assert [row["patient"] for row in rows] == ["patient_5"]
    assert rows[0]["left_out"] == "patient_4"
    renamed = tmp_path / "in"
    renamed.mkdir()
    for path in (tmp_path / "other").iterdir():
        path.rename(renamed / path.name.replace("patient_4", "x"))
    rows = similar.look_up(run, [str(renamed)], str(tmp_path / "out"), split="fold_1")
    assert [row["patient"] for row in rows] == ["patient_4", "patient_5"]
    assert rows[0]["distance"] == pytest.approx(0, abs=1e-6)
    assert rows[0]["distance"] < rows[1]["distance"]
    assert (tmp_path / "out" / "x_similar.png").exists()


def test_volumes_of_one_class_are_told_of(given, tmp_path, caplog):
    rows = similar.judge(str(tmp_path / "run"), str(tmp_path / "out"))
    assert rows[0]["queries"] == 2 and (tmp_path / "out" / "examples.png").exists()
    assert "every order of them scores 1" in caplog.text


def test_pictures_are_refused_of_a_model_of_volumes(net, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="no scan in .*one of volumes: give it"):
        queries.of_inputs(net.record.about, [str(tmp_path)])
