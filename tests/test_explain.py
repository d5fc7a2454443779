"""What heat maps look like, and explain and similar as processes on a phantom."""

import csv
import json
import types

import cv2
import numpy as np
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.inference import heat_maps
from brainseg_jax.modes import explain, localise
from brainseg_jax.runs import scored_splits
from brainseg_jax.runs.explaining import Explained
from brainseg_jax.runs.queries import Query
from tests import tiny_nets
from tests.test_main import ROOT, run

HEAD = np.full((8, 10, 1), 100, np.uint8)
HEAD[:, :2] = 0  # air


def test_heat_is_painted_over_grey_and_truth_is_a_white_line():
    heat = np.zeros((8, 10))
    heat[0, 5] = 1
    truth = np.zeros((8, 10), bool)
    truth[3:6, 4:8] = True
    picture = heat_maps.painted(HEAD, heat, truth)
    assert picture.shape == (8, 10, 3) and picture.dtype == np.uint8
    assert picture[7, 9].tolist() == [100] * 3  # where nothing is hot, as it was
    assert picture[3, 4].tolist() == [255] * 3 and picture[4, 5].tolist() == [100] * 3
    red, green, blue = picture[0, 5].astype(int)  # dark red, 128, at 60 %
    assert (red, green, blue) == (round(0.4 * 100 + 0.6 * 128), 40, 40)


def test_shares_by_hand():
    heat = np.zeros((8, 10))
    heat[0, 2:6] = 1
    region = np.zeros((8, 10), bool)
    region[0, 4:9] = True
    assert heat_maps.share_within(heat, region) == 2 / 4
    assert np.isnan(heat_maps.share_within(0 * heat, region))
    assert heat_maps.share_by_chance(HEAD, region) == 5 / 64  # 16 of 80 are air


def test_what_was_measured_is_summed_up_by_class_over_patients():
    rows = [
        {"explained": "tumour", "patient": who, "share_in_tumour": share,
         "share_by_chance": 0.1}
        for who, share in [("p", 0.5), ("p", 0.3), ("q", 0.7), ("q", np.nan)]
    ]  # fmt: skip
    (found,) = explain.summarise([*rows, {"explained": "tumour", "patient": "file"}])
    assert found["slices_with_tumour"] == 3 and found["patients"] == 2
    assert found["share_in_tumour"] == pytest.approx(0.5)
    assert found["gain"] == pytest.approx(0.4)
    # Draws of p alone, and of q alone.
    assert found["gain_low"] == pytest.approx(0.3)
    assert found["gain_high"] == pytest.approx(0.6)


def test_a_class_of_any_name_has_its_picture(tmp_path):
    query = Query("a_1", "a/1", "a", HEAD, HEAD, np.zeros((4, 1)))
    heat = np.ones((8, 10))
    found = Explained("T1/FLAIR core", heat)
    rows, _ = explain._explain_all(lambda _: [found], [query], tmp_path)
    (row,) = rows
    assert row["explained"] == "T1/FLAIR core"
    assert (tmp_path / row["picture"]).name == "a_1_T1_FLAIR_core_heat.png"
    assert (tmp_path / row["picture"]).is_file()


def test_a_split_of_other_channels_is_refused(monkeypatch):
    net = tiny_nets.restored(channels=("t1",))
    other = data_info.described(
        "a/other",
        channels=("flair",),
        classes={"tumour": 1},
        labels=["no tumour", "tumour"],
        dtype="uint8",
    )
    split = types.SimpleNamespace(info=other)
    monkeypatch.setattr(scored_splits.data_info, "read_info", lambda *_: other)
    monkeypatch.setattr(scored_splits.sources, "open_split", lambda *_, **__: split)
    monkeypatch.setattr(explain.queries, "restore", lambda *_: net)
    monkeypatch.setattr(localise.ensembles, "restore_all", lambda _: net)
    said = "has the channels .*flair.*, the model was trained with .*t1"
    with pytest.raises(ValueError, match=said):
        explain.explain("run", [], "out", data_name="a/other")
    with pytest.raises(ValueError, match=said):
        localise.localise_split("run", "", "out", data_name="a/other")


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def runs(data_dir, tmp_path_factory):
    """A classifier and a segmenter on the phantom, each two epochs."""
    folder = tmp_path_factory.mktemp("explained")
    for name in ("tiny_classifier", "tiny_config"):
        status, printed = run(
            f"--config={ROOT / 'tests' / name}.py",
            f"--config.data.data_dir={data_dir}",
            f"--workdir={folder / name}",
        )
        assert status == 0, printed
    return folder


@pytest.fixture(scope="module")
def patient(data_dir):
    """The raw slices of one."""
    return next(path for path in (data_dir / "raw").rglob("TCGA_*") if path.is_dir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_classifier", "tiny_config"])
def test_explanations_are_written(runs, patient, tmp_path, name):
    workdir = f"--workdir={runs / name}"
    status, printed = run("--mode=explain", workdir)
    assert status == 0, printed
    out = runs / name / "explain"
    rows = read_csv(out / "explanations.csv")
    told = json.loads((out / "explanations.json").read_text())
    assert len(rows) == len(told["explanations"]) and "PHANTOM" in told["note"]
    for row in rows:
        shape = cv2.imread(str(out / row["picture"])).shape
        assert shape == (256, 256, 3)
    if rows:
        assert (out / "examples.png").stat().st_size > 10_000
    files = tmp_path / "out"
    status, printed = run(
        "--mode=explain", workdir, f"--inputs={patient}", f"--outputs={files}"
    )
    assert status == 0, printed
    assert "share_in_tumour" not in (files / "explanations.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_classifier", "tiny_config"])
def test_similar_cases_are_found_and_judged(runs, patient, tmp_path, name):
    workdir, out = runs / name, tmp_path / "out"
    command = (
        "--mode=similar", f"--workdir={workdir}", f"--inputs={patient}",
        f"--outputs={out}", "--nearest=3",
    )  # fmt: skip
    status, printed = run(*command)
    assert status == 0, printed
    rows = read_csv(out / "similar.csv")
    assert len(rows) == 5 * 3
    for number in range(0, len(rows), 3):
        found = rows[number : number + 3]
        assert [row["rank"] for row in found] == ["1", "2", "3"]
        assert len({row["patient"] for row in found} | {patient.name}) == 4
        distances = [float(row["distance"]) for row in found]
        assert distances == sorted(distances)
        assert (out / found[0]["picture"]).stat().st_size > 10_000
    (kept,) = (workdir / "embeddings").iterdir()
    before = kept.stat().st_mtime_ns
    status, printed = run("--mode=similar", f"--workdir={workdir}")
    assert status == 0 and "mAP" in printed, printed
    assert kept.stat().st_mtime_ns == before  # as it was kept
    every, *of_classes = read_csv(workdir / "similar" / "retrieval.csv")
    assert every["class"] == "all" and of_classes
    assert 0 < float(every["map"]) <= 1 and 0 < float(every["random_map"]) < 1
    assert (workdir / "similar" / "examples.png").stat().st_size > 10_000


@pytest.mark.slow
def test_slices_turned_to_noise_are_told_of(runs, patient, tmp_path):
    workdir = f"--workdir={runs / 'tiny_config'}"
    status, printed = run("--mode=postprocess", workdir)
    assert status == 0 and "familiarity.npz" in printed, printed
    rng = np.random.default_rng(0)
    (tmp_path / "noise").mkdir()
    for path in patient.glob("*.tif"):
        if not path.stem.endswith("_mask"):
            noise = rng.integers(0, 255, (256, 256, 3), np.uint8)
            cv2.imwrite(str(tmp_path / "noise" / path.name), noise)
    for name, inputs in (("own", patient), ("noise", tmp_path / "noise")):
        out = tmp_path / f"out_{name}"
        status, printed = run(
            "--mode=predict", workdir, f"--inputs={inputs}", f"--outputs={out}"
        )
        assert status == 0, printed
        told = [row["warnings"] for row in read_csv(out / "predictions.csv")]
        assert all("as the model sees them" in one for one in told) == (name == "noise")
