"""Masks are mended by rules that a validation split chose, and nothing else changes."""

import json
import pathlib
import types

import numpy as np
import pytest

from brainseg_jax.data import info as data_info
from brainseg_jax.inference import post_processing
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.modes import postprocess
from brainseg_jax.runs import cards, ensembles, mended_scores, volume_rules
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.records import About
from configs import base
from tests import tiny_nets, tiny_volumes

PAINTING = [("WT", 2), ("TC", 1), ("ET", 4)]
CLASSES = {"WT": [1, 2, 4], "TC": [1, 4], "ET": 4}


def two_parts():
    """A box of 27 voxels, label 2 but 3 of label 4, and 2 voxels that touch at a corner."""
    labels = np.zeros((8, 8, 8, 1), np.uint8)
    labels[1:4, 1:4, 1:4] = 2
    labels[2, 2, 1:4] = 4
    labels[6, 6, 6] = labels[7, 7, 7] = 1
    return labels


def test_parts_by_hand():
    labels = two_parts()
    box = labels.copy()
    box[6:] = 0
    np.testing.assert_array_equal(post_processing.apply(labels, Rules()), labels)
    for rules in (Rules(largest=True), Rules(least_part=3)):
        np.testing.assert_array_equal(post_processing.apply(labels, rules), box)
    # Two voxels that touch at a corner are one part of two.
    kept = post_processing.apply(labels, Rules(least_part=2))
    np.testing.assert_array_equal(kept, labels)
    assert not post_processing.apply(labels, Rules(least_part=28)).any()
    empty = 0 * labels
    np.testing.assert_array_equal(post_processing.apply(empty, Rules(True, 5)), empty)


def test_a_rare_label_becomes_another_everywhere():
    labels = two_parts()
    found = post_processing.apply(labels, Rules(rare=4, least_rare=4, becomes=1))
    np.testing.assert_array_equal(found, np.where(labels == 4, 1, labels))
    kept = post_processing.apply(labels, Rules(rare=4, least_rare=3, becomes=1))
    np.testing.assert_array_equal(kept, labels)


def test_what_is_painted_last_may_be_rare():
    tried = list(post_processing.candidates(PAINTING))
    assert tried[0] == Rules() and len(tried) == len(set(tried)) == 7 * 6
    assert {(one.rare, one.becomes) for one in tried} == {(0, 0), (4, 1)}
    assert len(list(post_processing.candidates([]))) == 7


def test_validation_has_the_channels_that_the_model_takes(tmp_path):
    config = base.get_config()
    config.data.update(
        name=tiny_volumes.build(tmp_path), data_dir=str(tmp_path), validation="fold_1"
    )
    config.evaluation.window = (4, 4, 4)
    config.data.channels = ("flair", "t2")
    info = data_info.read_info(config.data.name, tmp_path).choosing(("flair", "t2"))
    about = About(config.to_dict(), info.to_record(), "", (), (), 0, 0, {})
    restored = types.SimpleNamespace(record=types.SimpleNamespace(about=about))
    source = postprocess._open_split(restored, "fold_1", "")
    image, _ = source.read_stored(0)
    np.testing.assert_array_equal(image, tiny_volumes.make_volume(4)[0][..., [3, 2]])
    assert source.scaling.shape == (2, 4, 2)


def choose(tmp_path, monkeypatch, predicted, truth):
    """The rules for volumes that were predicted so."""
    info = data_info.described(
        "a/b", channels=["t1"], classes=CLASSES, labels=["none"], painting=PAINTING,
        dimensions=3,
    )  # fmt: skip
    config = {"data": {"validation": "fold_1"}, "evaluation": {"empty": "one"}}
    about = types.SimpleNamespace(
        info=info, config=config, note="PHANTOM", trained_patients=("p9",)
    )
    restored = types.SimpleNamespace(
        record=types.SimpleNamespace(about=about, step=7),
        parts=types.SimpleNamespace(task=types.SimpleNamespace(name="segmentation")),
    )
    source = types.SimpleNamespace(
        info=info, patients=[f"p{k}" for k in range(len(truth))]
    )
    pairs = list(zip(predicted, truth, strict=True))
    monkeypatch.setattr(postprocess.ensembles, "restore_all", lambda workdir: restored)
    monkeypatch.setattr(postprocess.precision, "set_precision", lambda config: None)
    monkeypatch.setattr(postprocess, "_open_split", lambda *_: source)
    monkeypatch.setattr(volume_rules, "_labels", lambda _: iter(pairs))
    monkeypatch.setattr(postprocess, "_measure_familiarity", lambda *_: None)
    return postprocess.choose(tmp_path)


def test_the_best_of_all_rules_is_written_with_both_scores(tmp_path, monkeypatch):
    truth = two_parts()
    truth[6:], truth[truth == 4] = 0, 1  # neither specks nor enhancing tumour
    rules = choose(tmp_path, monkeypatch, [two_parts()], [truth])
    # 10 is the least part tried that takes the two specks away, 20 the least of the label.
    assert rules in (
        Rules(largest=True, rare=4, least_rare=20, becomes=1),
        Rules(least_part=10, rare=4, least_rare=20, becomes=1),
    )
    card = json.loads((tmp_path / "card.json").read_text())
    # WT 2 * 27 / (27 + 29), TC 2 * 3 / (3 + 5), ET 0; then all are 1.
    assert card["patient_dice_without"] == pytest.approx((54 / 56 + 6 / 8) / 3)
    assert card["patient_dice_with"] == 1 and card["chosen_on"] == "fold_1"
    assert cards.read(tmp_path, step=7).rules == rules


def test_masks_stay_as_they_are_where_nothing_is_better(tmp_path, monkeypatch):
    assert choose(tmp_path, monkeypatch, [two_parts()], [two_parts()]) == Rules()
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["patient_dice_with"] == card["patient_dice_without"] == 1
    assert cards.read(tmp_path, step=7).rules == Rules()


def test_a_card_of_another_checkpoint_is_left_aside(tmp_path, caplog):
    cards.write(tmp_path, Rules(largest=True), 7, {})
    assert cards.read(tmp_path, step=7).rules == Rules(largest=True)
    assert cards.read(tmp_path, step=9) is None
    assert "of the checkpoint of step 7" in caplog.text
    assert cards.read(tmp_path / "nowhere", step=7) is None


def test_a_damaged_card_is_named(tmp_path):
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ValueError, match=r"card.json is damaged .* --mode=postprocess"):
        cards.read(tmp_path, step=7)


def test_runs_that_saw_the_patients_mend_no_masks(tmp_path, monkeypatch):
    one = two_parts()
    with pytest.raises(ValueError, match=r"fold_1 has 1 patients .*\(p9\)"):
        choose(f"{tmp_path}/a,{tmp_path}/b", monkeypatch, [one] * 10, [one] * 10)


def test_several_runs_as_one_have_a_card_of_their_own(tmp_path, monkeypatch):
    steps = {"a": 3, "b": 5}
    monkeypatch.setattr(
        ensembles.restore,
        "read_best",
        lambda folder: types.SimpleNamespace(step=steps[pathlib.Path(folder).name]),
    )
    both, turned = (
        ",".join(str(tmp_path / name) for name in names) for names in ("ab", "ba")
    )
    place = ensembles.card_place(both, None)
    path = cards.write(
        place.workdir, Rules(largest=True), place.step, {}, name=place.name
    )
    assert path == tmp_path / "a" / "card_ensemble_of_2_with_b.json"
    assert ensembles.card_of(both, None).rules == Rules(largest=True)
    assert ensembles.card_of(turned, None) is None
    steps["b"] = 6  # trained on
    assert ensembles.card_of(both, None) is None


def test_sizes_are_those_of_the_grid_that_rules_were_chosen_on():
    rules = Rules(largest=True, least_part=100, rare=4, least_rare=20, becomes=1)
    finer = rules._replace(least_part=250, least_rare=50)
    assert post_processing.on_finer(rules, 2.5) == finer


def test_a_report_names_the_score_that_is_mended(monkeypatch, tmp_path):
    mended = {"patient_dice": 0.5}, []
    monkeypatch.setattr(mended_scores, "_score_mended", lambda *_: mended)
    monkeypatch.setattr(mended_scores.patient_spread, "of_shapes", lambda *_: {})
    calm = {}, {"calibration error at temperature 2.00": "0.100"}
    monkeypatch.setattr(mended_scores.temperatures, "scores_at", lambda *_: calm)
    card = Card(Rules(least_part=4), None, 2.0)
    _, rows = mended_scores.by_card(
        tiny_nets.restored(), None, None, card, tmp_path, "note"
    )
    # Not "the same": the row before it is of something else.
    assert [*rows.items()][1] == (
        "mean Dice over patients after post-processing",
        "0.500",
    )
