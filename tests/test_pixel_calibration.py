"""Calibration of masks from counts of their pixels, against calibration of each pixel."""

import types

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.data import sources
from brainseg_jax.inference import pixel_counts, steps
from brainseg_jax.inference.pixel_counts import Pixels
from brainseg_jax.metrics import calibration, pixel_calibration, pixel_tallies
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.reports import segmentation as reports
from brainseg_jax.reports.parts import pixel_figure
from brainseg_jax.runs import pixel_temperatures, split_scores, temperatures
from brainseg_jax.tasks import segmentation
from tests import tiny_nets

TRUE = 1.7  # temperature that mends what `drawn` makes too sure


def drawn(shape=(3, 40, 40, 2), seed=0):
    """Probabilities of pixels that are too sure, and the pixels themselves."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1.5, shape)
    truth = rng.random(shape) < 1 / (1 + np.exp(-logits))
    return (1 / (1 + np.exp(-TRUE * logits))).astype(np.float32), truth


def counted(probs, truth, inside=None):
    inside = np.ones(truth.shape[:-1], bool) if inside is None else inside
    found = jax.jit(pixel_tallies.tally)(probs, truth, inside)
    return np.asarray(found).astype(np.int64)


def as_decided(probs, truth):
    """Pixels of one class as if each were a slice."""
    told = np.stack([1 - probs, probs], -1).reshape(-1, 2).astype(float)
    label = truth.reshape(-1).astype(int)
    return Decided(told, np.ones_like(label), label)


def test_scores_are_those_of_every_pixel_by_itself():
    probs, truth = drawn()
    tallies = counted(probs, truth)
    assert tallies.shape == (3, 2, 2, 400) and tallies.sum() == truth.size
    own = tallies[:, 1].sum(0)
    each = as_decided(probs[..., 1], truth[..., 1])
    curve = calibration.reliability(each)
    assert pixel_calibration.expected_error(own) == pytest.approx(
        calibration.expected_error(curve), abs=2e-3
    )
    assert pixel_calibration.brier(own) == pytest.approx(
        calibration.brier(each), abs=1e-4
    )
    # Two sigmoids of one logit have the cross-entropy of the lone one twice.
    entropy = calibration.cross_entropy(each, temperature=1, exclusive=True)
    assert pixel_calibration.cross_entropy(own) == pytest.approx(entropy, abs=1e-4)


def test_the_temperature_mends_what_one_spoiled():
    own = counted(*drawn((4, 100, 100, 1))).sum((0, 1))
    found = pixel_calibration.fit_temperature(own)
    assert found == pytest.approx(TRUE, rel=0.03)
    before, after = (pixel_calibration.expected_error(own, t) for t in (1.0, found))
    assert before > 0.03 and after < 0.008


def test_pixels_that_do_not_count_are_in_no_bin():
    probs, truth = drawn((2, 10, 10, 1))
    inside = np.zeros((2, 10, 10), bool)
    inside[0, :3] = True
    found = counted(probs, truth, inside)
    assert found.sum((1, 2, 3)).tolist() == [30, 0]
    np.testing.assert_array_equal(found[0], counted(probs[:1, :3], truth[:1, :3])[0])
    assert np.isnan(pixel_calibration.brier(found[1, 0]))


def test_intervals_are_over_patients():
    probs, truth = drawn((6, 30, 30, 2))
    tallies = counted(probs, truth)
    found = pixel_calibration.summarise(tallies, ("WT", "ET"))
    mean = (found["pixel_brier_WT"] + found["pixel_brier_ET"]) / 2
    assert found["pixel_brier"] == pytest.approx(mean)
    for name in ("pixel_ece", "pixel_brier", "pixel_brier_WT"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    # Of six patients alike there is no spread, and of one no interval.
    alike = pixel_calibration.summarise(np.repeat(tallies[:1], 6, 0), ("WT", "ET"))
    assert alike["pixel_ece_low"] == pytest.approx(alike["pixel_ece_high"])
    lone = pixel_calibration.summarise(tallies[:1], ("WT", "ET"))
    assert np.isnan(lone["pixel_ece_low"]) and lone["pixel_ece"] > 0


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_step_counts_the_head_alone_or_all(exclusive):
    """A disc of 16 in a picture of 0, on a mask of twice the size."""
    task = segmentation.make_task({"a": 1}, exclusive=exclusive, threshold=0.5)
    image = jnp.zeros((1, 8, 8, 2)).at[0, 2:6, 2:6, 1].set(5.0)
    mask = jnp.zeros((1, 16, 16, 1), jnp.uint8).at[0, 4:8, 4:8].set(1)
    probs = jnp.full((1, 16, 16, 1), 0.9)
    if exclusive:
        probs = jnp.concatenate([1 - probs, probs], -1)
    inside = steps.head_on((16, 16), image)
    assert inside.sum() == 64 and inside[0, 4:12, 4:12].all()
    batch = {"mask": mask}
    for chosen, without in ((inside, 48), (None, 240)):
        found = np.asarray(steps.count_pixels(task, probs, batch, chosen))
        assert found.sum(-1).tolist() == [[[without, 16]]]
        # The bin that has the logit of 0.9, which is 2.197.
        (place,) = {*np.flatnonzero(found.sum((0, 1, 2)))}
        assert abs(pixel_tallies.MIDDLES[place] - np.log(9)) <= 0.025


@pytest.mark.parametrize("policy", ["head", "all"])
def test_slabs_of_windows_are_counted_as_whole_examples(monkeypatch, policy):
    monkeypatch.setattr(pixel_counts.blending, "POSITIONS", 100)
    task = segmentation.make_task({"a": 1, "b": 2}, exclusive=False, threshold=0.5)
    probs, truth = drawn((1, 9, 8, 7, 2))
    mask = np.where(truth[..., :1], 1, np.where(truth[..., 1:], 2, 0)).astype(np.uint8)
    image = np.random.default_rng(0).integers(0, 99, (1, 9, 8, 7, 3)).astype(np.int16)
    image[:, :3] = 0
    inside = pixel_tallies.inside_head(image.astype("f4"))
    expected = steps.count_pixels(
        task, probs, {"mask": mask}, jnp.asarray(inside) if policy == "head" else None
    )
    count = pixel_counts.in_windows(task, policy)({"image": image[0], "mask": mask[0]})
    found = sum(count(start, probs[0, start : start + 4]) for start in (0, 4, 8))
    np.testing.assert_array_equal(found, np.asarray(expected)[0])
    assert found.sum() == 2 * (inside.sum() if policy == "head" else 9 * 8 * 7)


def test_counts_are_added_up_by_patient():
    source = types.SimpleNamespace(
        patients=["q", "p", "q"], info=types.SimpleNamespace(classes={"a": 1})
    )
    counts = pixel_counts.PixelCounts(source, "all")
    for place, number in ((2, 1), (0, 10), (1, 100)):
        counts.add(place, np.full((1, 2, 400), number))
    assert counts.found.tallies[:, 0, 0, 0].tolist() == [11, 100]


def test_a_temperature_is_kept_if_it_helps_patients_that_it_did_not_see():
    spoiled = counted(*drawn((3, 60, 60, 1)))
    assert pixel_temperatures.helps(spoiled) and not pixel_temperatures.helps(
        spoiled[:1]
    )
    # Two patients of whom each misleads the other: one too sure, one not sure enough.
    sure = counted(*drawn((1, 60, 60, 1)))
    probs, truth = drawn((1, 60, 60, 1), seed=1)
    calm = counted(
        probs ** (1 / 4) / (probs ** (1 / 4) + (1 - probs) ** (1 / 4)), truth
    )
    assert not pixel_temperatures.helps(np.concatenate([sure, calm]))


def test_the_curves_are_drawn(tmp_path):
    tallies = counted(*drawn())
    pixel_figure.of_classes(
        Pixels(tallies, "head"), ("WT", "ET"), tmp_path / "a.png", title="net", note="N"
    )
    pixel_figure.with_temperature(
        tallies.sum((0, 1)),
        TRUE,
        tmp_path / "b.png",
        policy="all",
        title="net",
        note="",
    )
    for name in ("a.png", "b.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 5


@pytest.mark.parametrize("window", [(), (256, 256)])
def test_a_split_is_counted_whole_and_in_windows(data_dir, window):
    channels = ("pre-contrast", "FLAIR", "post-contrast")
    net = tiny_nets.restored(channels=channels, window=window, label=255)
    source = sources.open_split(
        "lgg_mri/phantom", "fold_4", data_dir, size=tiny_nets.SIZE if not window else (),
        normalisation={"name": "unit"}, only_tumour=False, stored_masks=True,
    )  # fmt: skip
    scored = split_scores.score(net, source, pixels="all")
    tallies = scored.pixels.tallies
    counts = scored.measured
    true = np.add(counts.true_positives, counts.false_negatives).sum()
    assert tallies.sum() == len(source) * 256 * 256 and tallies[:, :, 1].sum() == true
    # Above 0.5 are the bins from the middle on.
    found = np.add(counts.true_positives, counts.false_positives).sum()
    assert tallies[..., 200:].sum() == pytest.approx(found, rel=1e-3)
    inside = split_scores.score(net, source, pixels="head").pixels.tallies
    assert 0.2 < inside.sum() / tallies.sum() < 0.9
    summary = reports.summarise(scored, source, net.parts.task, "one", resamples=50)
    assert 0 < summary["pixel_ece"] < 1 and "pixel_brier_high" in summary
    found, row = temperatures.scores_at(2.0, scored, net.parts.task)
    assert found["calibration"]["scores"]["pixel_ece"] != summary["pixel_ece"]
    assert [*row] == ["calibration error at temperature 2.00"]
