"""Ensembles: the mean of several models' probabilities, wherever one model may be."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from brainseg_jax.inference import ensemble, folding
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.modes import evaluate, predict
from brainseg_jax.runs import ensembles, experiment, restore
from tests import small_scans


class Affine(nn.Module):
    """Logits that are the image times a number."""

    @nn.compact
    def __call__(self, image, *, train=False, keys=None):
        return image * self.param("factor", nn.initializers.ones, ())


@pytest.mark.parametrize(
    "exclusive, probabilities", [(False, jax.nn.sigmoid), (True, jax.nn.softmax)]
)
def test_probabilities_are_the_mean_of_the_members(exclusive, probabilities):
    image = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 3)), jnp.float32)
    model = ensemble.Ensemble((Affine(), Affine()), exclusive)
    variables = ensemble.join([{"params": {"factor": jnp.float32(f)}} for f in (1, -3)])
    found = probabilities(folding.apply(model, variables, image))
    expected = (probabilities(image) + probabilities(-3 * image)) / 2
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_each_head_is_averaged_as_its_own_classes_are():
    class TwoHeaded(Affine):
        @nn.compact
        def __call__(self, image, *, train=False, keys=None):
            factor = self.param("factor", nn.initializers.ones, ())
            return Heads(mask=factor * image, label=factor * image.mean((1, 2)))

    image = jax.random.normal(jax.random.key(0), (2, 3, 3, 2))
    kinds = Heads(mask=False, label=True)
    both = ensemble.Ensemble((TwoHeaded(), TwoHeaded()), kinds)
    factors = (1.0, -3.0)
    variables = ensemble.join([{"params": {"factor": jnp.float32(f)}} for f in factors])
    found = folding.apply(both, variables, image)
    masks = np.mean([jax.nn.sigmoid(f * image) for f in factors], 0)
    labels = np.mean([jax.nn.softmax(f * image.mean((1, 2))) for f in factors], 0)
    np.testing.assert_allclose(jax.nn.sigmoid(found.mask), masks, atol=1e-6)
    np.testing.assert_allclose(jax.nn.softmax(found.label), labels, atol=1e-6)


def test_certain_members_leave_logits_finite():
    image = jnp.full((1, 2, 2, 1), 1e4)
    for exclusive in (False, True):
        model = ensemble.Ensemble((Affine(), Affine()), exclusive)
        variables = ensemble.join([{"params": {"factor": jnp.float32(1)}}] * 2)
        assert np.isfinite(model.apply(variables, image)).all()


def test_members_are_folded_each_by_itself():
    model = experiment.make_model(
        "unet", {"widths": (4, 6)}, outputs=1, dtype="float32"
    )
    shape = (1, 8, 8, 3)
    members = [model.init(jax.random.key(k), jnp.zeros(shape)) for k in range(2)]
    both = ensemble.Ensemble((model, model), False)
    image = jax.random.normal(jax.random.key(3), shape)
    joined = ensemble.join(members)
    expected = both.apply(joined, image)
    fold = folding.make_fold(both, shape)
    found = folding.apply(both, fold(joined), image)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_runs_are_averaged_in_evaluating_and_predicting(finished, data_dir, tmp_path):
    workdir = str(finished[0])
    twice = f"{workdir},{shutil.copytree(workdir, tmp_path / 'same')}"
    summary = evaluate.evaluate(twice)
    # Of the same model twice, all is as it was.
    for name, value in finished[1].items():
        np.testing.assert_allclose(summary[name], value, rtol=1e-4, atol=1e-4)
    assert list(
        (finished[0] / "evaluation").glob("ensemble_of_2_with_same_*/*/summary.json")
    )
    picture = next((data_dir / "raw").rglob("*_3.tif"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a_1.tif").write_bytes(picture.read_bytes())
    one, two = (
        predict.predict(given, [str(tmp_path / "in")], str(tmp_path / f"out{k}"))
        for k, given in enumerate((workdir, twice))
    )
    assert one[0]["pixels"] == two[0]["pixels"]
    assert two[0]["note"].startswith("ENSEMBLE of 2")


def test_spacings_of_runs_are_alike_to_one_percent(monkeypatch):
    runs = {
        name: small_scans.restored(("a",), window=(4,) * 3, spacing=(1.0, 1.0, last))
        for name, last in (("one", 1.0), ("near", 1.005), ("far", 2.5))
    }
    monkeypatch.setattr(restore, "restore", runs.get)
    for name in ("one", "near"):
        ensembles._check_alike("one", runs["one"], name, runs[name])
    with pytest.raises(ValueError, match="one and far cannot be averaged: spacing is"):
        ensembles.restore_all("one,far")


def test_only_runs_that_were_all_trained_so_take_scans_that_lack_a_channel(monkeypatch):
    runs = {
        name: small_scans.restored(("a", "b"), window=(4, 4), dropout=chance)
        for name, chance in (("some", 0.2), ("more", 0.4), ("none", 0.0))
    }
    monkeypatch.setattr(restore, "restore", runs.get)
    for named, chance in (("more,some", 0.2), ("some,none", 0.0)):
        about = ensembles.restore_all(named).record.about
        assert about.settings.augment.channel_dropout == chance
    assert runs["more"].record.about.settings.augment.channel_dropout == 0.4


def test_who_chose_the_epoch_that_any_run_began_from_is_known(monkeypatch):
    one = small_scans.restored(("a",), window=(4, 4))
    runs = {
        name: one._replace(record=one.record._replace(about=about))
        for name in "ab"
        for about in [dataclasses.replace(one.record.about, earlier_choosers=(name,))]
    }
    monkeypatch.setattr(restore, "restore", runs.get)
    assert ensembles.restore_all("a,b").record.about.earlier_choosers == ("a", "b")


def test_runs_that_differ_in_what_they_mean_are_refused(monkeypatch):
    runs = {
        name: small_scans.restored(name, window=(4, 4)) for name in (("a",), ("b",))
    }
    monkeypatch.setattr(restore, "restore", lambda folder: runs[folder,])
    with pytest.raises(ValueError, match="a and b cannot be averaged: channels is"):
        ensembles.restore_all("a,b")
