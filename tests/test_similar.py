"""Stored cases like a slice: own patients left out, vectors kept, scores by class."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from brainseg_jax.data import sources
from brainseg_jax.data.image_files import UnreadableImage
from brainseg_jax.models.parts import bottleneck
from brainseg_jax.modes import similar
from brainseg_jax.runs import embeddings, queries, similar_cases
from brainseg_jax.runs.embedder import Embedder, make_embedder
from brainseg_jax.runs.similar_cases import Stored
from tests import tiny_nets


class Counting:
    """The mean of an image as its vector, and how many images were asked for."""

    asked = 0

    def __call__(self, images, scaling):
        self.asked += len(images)
        return np.array([[one.mean(), 1.0] for one in images])


def open_fold(data_dir, fold="fold_0"):
    return sources.open_split(
        "lgg_mri/phantom",
        fold,
        data_dir,
        size=(16, 16),
        normalisation={"name": "unit"},
        only_tumour=False,
    )


def test_vectors_are_kept_until_weights_or_data_change(data_dir, tmp_path, caplog):
    source = open_fold(data_dir)
    count = Counting()
    embedder = Embedder(4, count)

    def vectors(made_by=1, of=source):
        return embeddings.of_split(embedder, of, "fold_0", tmp_path, {"step": made_by})

    first = vectors()
    expected = [source.example(k)["image"].mean() for k in range(len(source))]
    np.testing.assert_allclose(first[:, 0], expected, rtol=1e-5)
    before = count.asked
    np.testing.assert_array_equal(vectors(), first)
    assert count.asked == before
    vectors(made_by=2)
    info = dataclasses.replace(source.info, version="9.9.9")
    vectors(made_by=2, of=dataclasses.replace(source, info=info))
    assert count.asked == 3 * before
    (path,) = (tmp_path / "embeddings").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(vectors(), first)
    assert "is damaged" in caplog.text


def test_a_patient_named_in_the_path_is_left_out():
    patients = ["TCGA_CS_4941_19960909", "P1", "P10", "P1"]
    path = "scans/TCGA_CS_4941/slice_3.png"  # without the date
    assert similar_cases.named_in(path, patients) == patients[:1]
    assert similar_cases.named_in("in/P1_004.png", patients) == ["P1"]
    assert similar_cases.named_in("in/XP1.png", patients) == []


def stored(labels=(0, 1, 1, 0)):
    info = types.SimpleNamespace(labels=("none", "tumour"))
    source = types.SimpleNamespace(
        info=info,
        patients=["a", "a", "b", "c"],
        slices=[1, 2, 1, 1],
        keys=["a_1", "a_2", "b_1", "c_1"],
        labels=np.array(labels),
    )
    return Stored(source, np.array([[1.0, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]]))


def test_the_nearest_slice_of_each_patient_is_found():
    cases = stored()
    apart = similar_cases.distances(cases, np.array([[0.0, 1]] * 2), [[], ["a"]])
    first, second = similar_cases.find(cases, apart[0], 2)
    assert (first["patient"], first["slice"], first["distance"]) == ("a", 2, 0)
    assert (second["patient"], second["rank"], second["distance"]) == ("b", 2, 0.2)
    assert first["class"] == "tumour"
    assert [row["patient"] for row in similar_cases.find(cases, apart[1], 9)] == [
        "b",
        "c",
    ]


def test_scores_stand_beside_those_of_a_random_order():
    cases = stored()
    asked = types.SimpleNamespace(
        info=cases.source.info, patients=["q", "q"], labels=np.array([1, 0])
    )
    scores = similar_cases.judge(cases, asked, np.array([[0.0, 1], [1, 0]]), 2)
    every, none, tumour = similar_cases.table(scores, asked, 2)
    # Tumour: a's second and b's come first. None: a's first, then c's.
    assert every["map"] == tumour["map"] == none["precision_at_2"] == 1
    assert [row["queries"] for row in (every, none, tumour)] == [2, 1, 1]
    assert every["patients"] == 1 and np.isnan(every["map_low"])
    assert {"random_map", "random_precision_at_2"} <= every.keys()


def test_scans_are_refused_of_a_model_of_slices(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    about = tiny_nets.restored().record.about
    with pytest.raises(ValueError, match="scan.nii.gz is a scan.* as pictures"):
        queries.of_inputs(about, [str(tmp_path)])


class BesideOne(nn.Module):
    """Marks two features: the image and 1."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        # Two, for pmap takes three arrays in all as if each had an axis of its own.
        one, zero = (
            self.param(name, nn.initializers.zeros, (1,) * 4)
            for name in ("one", "zero")
        )
        both = jnp.concatenate([image + zero, 0 * image + one], -1)
        return bottleneck.mark(self, both)[..., :1]


@pytest.mark.parametrize("mode", ["pmap", "mesh"])
def test_vectors_are_the_same_over_eight_devices(mode):
    made = tiny_nets.restored(batch=8)
    made.record.about.config["parallel"]["mode"] = mode
    weights = {"one": np.ones((1,) * 4), "zero": np.zeros((1,) * 4)}
    made = made._replace(
        parts=made.parts._replace(model=BesideOne()), variables={"params": weights}
    )
    embedder = make_embedder(made, 100)
    assert embedder.size == 8
    images = [np.full((12, 12, 1), 25 * (k + 1), np.uint8) for k in range(3)]
    scaling = np.tile(np.array([[[0.0], [255], [10], [5]]], np.float32), (3, 1, 1))
    # Of 25, 50 and 75, less 10 and by 5.
    expected = [[3 / 10**0.5, 1 / 10**0.5], [8 / 65**0.5, 1 / 65**0.5]]
    expected += [[13 / 170**0.5, 1 / 170**0.5]]
    np.testing.assert_allclose(embedder.embed(images, [*scaling]), expected, rtol=1e-6)
    many = embedder.embed(images * 4, [*scaling] * 4)  # more than go at a time
    np.testing.assert_allclose(many, expected * 4, rtol=1e-6)


def test_files_that_cannot_be_read_are_not_counted(monkeypatch, tmp_path, caplog):
    failed = {"a.png": "it is no picture."}
    asked = queries.Asked(iter(()), 1, failed)
    opened = Embedder(4, Counting()), None, "fold_0"
    monkeypatch.setattr(queries, "restore", lambda _: tiny_nets.restored())
    monkeypatch.setattr(similar, "_open_stored", lambda *_: opened)
    monkeypatch.setattr(queries, "of_inputs", lambda *_: asked)
    (tmp_path / "a.png").write_bytes(b"x")
    with caplog.at_level("INFO"), pytest.raises(UnreadableImage, match="1 of 1 files"):
        similar.look_up("run", [str(tmp_path / "a.png")], str(tmp_path / "out"))
    assert "Cases like those of 0 files" in caplog.text


def test_files_that_no_model_of_slices_takes_are_refused_before_any_vector_is_made(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(queries, "restore", lambda _: tiny_nets.restored())
    monkeypatch.setattr(similar, "_open_stored", lambda *_: pytest.fail("vectors"))
    (tmp_path / "a.nii.gz").write_bytes(b"x")
    with pytest.raises(ValueError, match="a.nii.gz is a scan"):
        similar.look_up("run", [str(tmp_path / "a.nii.gz")], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
