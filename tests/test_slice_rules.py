"""Threshold, small parts and temperature: chosen on validation, kept where they help."""

import json
import types

import numpy as np
import pytest

from brainseg_jax.inference import post_processing
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import threshold_sweep
from brainseg_jax.modes import evaluate, postprocess, train
from brainseg_jax.runs import cards, mending, out_of_fold, slice_rules, split_masks
from tests import tiny_classifier

OTHER = Rules(largest=True, least_part=5)


def naive_dice(probability, truth, threshold):
    """The mean over patients of the Dice of all their pixels."""
    dice = []
    for probs, mask in zip(probability, truth, strict=True):
        found = probs > threshold
        total = found.sum() + mask.sum()
        dice.append(2 * (found & mask).sum() / total if total else 1.0)
    return np.mean(dice)


def test_the_sweep_is_the_dice_at_every_threshold():
    rng = np.random.default_rng(0)
    truth = rng.random((3, 2, 8, 8, 1)) < 0.3
    truth[2] = False
    probability = np.clip(truth * 0.4 + 0.6 * rng.random(truth.shape), 0, 1)
    probability = probability.astype(np.float32)
    probability[2] *= 0.5
    tallies = [
        sum(threshold_sweep.tally(*slices) for slices in zip(*patient, strict=True))
        for patient in zip(probability, truth, strict=True)
    ]
    found = threshold_sweep.sweep(np.stack(tallies), empty="one")
    for k in (0, 24, 49, 74, 98):
        threshold = threshold_sweep.THRESHOLDS[k]
        expected = naive_dice(probability, truth, threshold)
        assert found.dice[k] == pytest.approx(expected), threshold
    assert (found.iou <= found.dice).all()
    best = found.best(0.5)
    assert max(found.dice) == found.dice[int(round(best * 100)) - 1]


def test_of_several_best_thresholds_the_usual_one_stays():
    flat = threshold_sweep.Sweep(
        np.array([0.2, 0.4, 0.6]), np.array([0.7, 0.7, 0.6]), np.zeros(3)
    )
    assert flat.best(0.5) == 0.4 and flat.best(0.1) == 0.2
    unknown = flat._replace(dice=np.full(3, np.nan))
    assert unknown.best(0.5) == 0.5


def test_small_parts_go_by_slice_and_the_largest_stays_through_slices():
    labels = np.zeros((3, 8, 8, 1), np.uint8)
    labels[:2, 1:4, 1:4] = 1  # nine pixels in each of two slices
    labels[2, 6, 6:8] = 1  # two in the third, which touch nothing
    least = post_processing.apply_to_slices(labels, Rules(least_part=9))
    np.testing.assert_array_equal(least[:2], labels[:2])
    assert not least[2].any()
    largest = post_processing.apply_to_slices(labels, Rules(largest=True))
    np.testing.assert_array_equal(largest, least)
    # Of one volume 18 voxels would be one part of 10; of slices none has so many.
    assert not post_processing.apply_to_slices(labels, Rules(least_part=10)).any()
    np.testing.assert_array_equal(
        mending.mend(list(labels), Rules(largest=True)), largest
    )
    tried = list(post_processing.slice_candidates())
    assert tried[0] == Rules() and OTHER in tried and len(set(tried)) == len(tried)


def choose(tmp_path, monkeypatch, probability, truth, *, exclusive=False):
    """For one patient's slices, predicted so; threshold 0.5 until now."""
    fold = make_fold(monkeypatch, probability, truth, exclusive=exclusive)
    return slice_rules.choose_of([fold], tmp_path)


def make_fold(monkeypatch, probability, truth, *, exclusive=False, patient="p"):
    """One patient's slices and a net that predicts them so."""
    config = {"evaluation": {"threshold": 0.5, "empty": "one"}}
    restored = types.SimpleNamespace(
        threshold=0.5,
        record=types.SimpleNamespace(
            about=types.SimpleNamespace(config=config, note="PHANTOM")
        ),
        parts=types.SimpleNamespace(task=types.SimpleNamespace(exclusive=exclusive)),
    )

    class Source(types.SimpleNamespace):
        def __len__(self):
            return len(truth)

    source = Source(
        info=types.SimpleNamespace(members=((1,),), classes={"tumour": 1}),
        patients=[patient] * len(truth),
        scaling=[None] * len(truth),
        seen=lambda k: (probability[k], truth[k].astype(np.uint8)),
    )
    monkeypatch.setattr(
        slice_rules.predictor, "make_predictor", lambda _: lambda image, _: image[None]
    )
    monkeypatch.setattr(
        split_masks.predictor,
        "make_labeller",
        lambda one: lambda image, _: (image > one.threshold).astype(np.uint8),
    )
    monkeypatch.setattr(
        mending,
        "at_threshold",
        lambda one, value: types.SimpleNamespace(**{**vars(one), "threshold": value}),
    )
    return out_of_fold.Fold("fold_0", restored, source)


def test_the_folds_of_a_cross_validation_choose_together(tmp_path, monkeypatch):
    truth = np.zeros((1, 12, 12, 1), bool)
    truth[:, 2:6, 2:6] = True
    faint, wide = (truth * share for share in (0.35, 0.9))
    wide = np.where(np.roll(truth, 4, 1), 0.32, wide)  # as much again, beside it
    folds = [
        make_fold(monkeypatch, probability.astype(np.float32), truth, patient=patient)
        for probability, patient in ((faint, "p"), (wide, "q"))
    ]
    rules, said = slice_rules.choose_of(folds, tmp_path)
    # At 0.5 the first has nothing; from 0.32 to 0.34 both are right.
    assert said["patient_dice_without"] == 0.5 and said["patient_dice_with"] == 1
    assert 0.32 <= said["threshold"] < 0.35 and rules == Rules()


def test_threshold_and_rules_are_kept_where_dice_rises(tmp_path, monkeypatch):
    truth = np.zeros((2, 12, 12, 1), bool)
    truth[:, 2:6, 2:6] = True
    probability = (truth * 0.35).astype(np.float32)
    probability[0, 9, 9] = 0.9  # a speck that no threshold takes away
    rules, said = choose(tmp_path, monkeypatch, probability, truth)
    assert said["patient_dice_without"] == 0 and said["patient_dice_with"] == 1
    assert said["threshold"] == pytest.approx(0.34)  # the nearest below 0.35
    assert rules == Rules(least_part=5)
    table = (tmp_path / "thresholds.csv").read_text().splitlines()
    assert table[0] == "threshold,dice,iou,note" and len(table) == 100
    assert (tmp_path / "thresholds.png").stat().st_size > 10_000


def test_nothing_is_kept_where_nothing_helps(tmp_path, monkeypatch):
    truth = np.zeros((2, 12, 12, 1), bool)
    truth[:, 2:6, 2:6] = True
    found = choose(tmp_path, monkeypatch, truth.astype(np.float32), truth)
    assert found[0] == Rules() and found[1]["threshold"] == 0.5


def test_a_softmax_has_no_threshold_to_choose(tmp_path, monkeypatch):
    truth = np.zeros((2, 12, 12, 1), bool)
    truth[:, 2:6, 2:6] = True
    probability = truth.astype(np.float32)
    probability[0, 9, 9] = 0.9
    rules, said = choose(tmp_path, monkeypatch, probability, truth, exclusive=True)
    assert rules == Rules(least_part=5) and said["patient_dice_with"] == 1
    assert not {"threshold", "threshold_without"} & {*said}
    assert not (tmp_path / "thresholds.csv").exists()


def test_a_threshold_alone_is_told_as_what_was_changed(tmp_path, caplog):
    said = {
        "chosen_on": "fold_3", "tried": 15, "threshold": 0.3, "threshold_without": 0.5,
        "patient_dice_without": 0.8, "patient_dice_with": 0.9,
    }  # fmt: skip
    with caplog.at_level("INFO"):
        postprocess._tell(tmp_path / "card.json", Rules(), said, tmp_path)
    assert "0.8000 without and 0.9000 with {'threshold': 0.3}, the best" in caplog.text


def test_a_card_has_what_it_was_asked_for(tmp_path):
    cards.write(tmp_path, OTHER, 7, {"threshold": 0.3})
    assert cards.read(tmp_path, 7) == cards.Card(OTHER, 0.3, None)
    cards.write(tmp_path, Rules(), 7, {"temperature": 1.5})
    assert cards.read(tmp_path, 7) == cards.Card(Rules(), None, 1.5)
    assert cards.read(tmp_path, 8) is None
    cards.write(tmp_path, Rules(), 7, {"temperature": "hot"})
    with pytest.raises(ValueError, match=r"card.json is damaged .* --mode=postprocess"):
        cards.read(tmp_path, 7)


@pytest.mark.slow
def test_slices_are_scored_by_their_card_too(config, tmp_path):
    config.epochs = 1
    summary = train.train(config, str(tmp_path))
    postprocess.choose(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["patient_dice_with"] >= card["patient_dice_without"]
    cards.write(tmp_path, Rules(least_part=10**6), card["checkpoint_step"], {})
    again = evaluate.evaluate(tmp_path)
    assert again["patient_dice"] == pytest.approx(summary["patient_dice"])
    report = json.loads((tmp_path / "evaluation/fold_4/summary.json").read_text())
    # Nothing is left of any mask: Dice 0 of every patient, who all have a tumour.
    assert report["post_processing"]["scores"]["patient_dice"] == 0
    folder = tmp_path / "evaluation/fold_4"
    mended = (folder / "patients_post_processed.csv").read_text().splitlines()[0]
    plain = (folder / "patients.csv").read_text().splitlines()[0]
    assert mended == plain and "hd95" in plain
    # Every truth is far from a mask that is empty: the slice's diagonal, in pixels.
    over = report["post_processing"]["over_patients"]
    (far,) = [row["mean"] for row in over if row["score"] == "hd95"]
    assert far == pytest.approx(256 * 2**0.5)


@pytest.mark.slow
def test_a_classifiers_temperature_lowers_what_it_is_fitted_by(data_dir, tmp_path):
    config = tiny_classifier.get_config()
    config.data.data_dir, config.epochs = str(data_dir), 1
    train.train(config, str(tmp_path))
    postprocess.choose(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    before, after = (card[f"{one}_temperature"] for one in ("without", "with"))
    assert after["slice_cross_entropy"] <= before["slice_cross_entropy"] + 1e-9
    assert (tmp_path / "postprocess/calibration.png").stat().st_size > 10_000
    evaluate.evaluate(tmp_path)
    (report,) = (tmp_path / "evaluation").glob("*/summary.json")
    found = json.loads(report.read_text())["calibration"]
    assert found["temperature"] == pytest.approx(card["temperature"])


def test_overlap_of_tallies_counts_every_pixel():
    truth = np.ones((4, 4, 1), bool)
    found = threshold_sweep.tally(np.full((4, 4, 1), 0.5, np.float32), truth)
    # Above 0.49, the 49th threshold, and not above 0.5.
    assert found.shape == (1, 2, 100) and found[0, 1, 49] == found.sum() == 16
