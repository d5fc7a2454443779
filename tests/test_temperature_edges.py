"""A temperature whose fit ends at an end of its range is left out, and told of."""

import types

import numpy as np
import pytest

from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import calibration
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.modes import postprocess
from brainseg_jax.runs import (
    cards,
    notes,
    out_of_fold,
    pixel_temperatures,
    results,
    temperatures,
)
from tests import tiny_nets
from tests.test_pixel_calibration import counted, drawn

RIGHT, WRONG = np.array([0, 1, 0, 1]), np.array([1, 0, 1, 0])
SURE = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]])


def decided(label):
    return Decided(SURE, SURE.argmax(1), label)


@pytest.mark.parametrize("label, end", [(RIGHT, 0.05), (WRONG, 20.0)])
def test_a_fit_without_a_best_temperature_ends_at_an_end(label, end):
    # If all are right, surer ones are likelier without end; if all are wrong, less sure.
    found = calibration.fit_temperature(decided(label), exclusive=True)
    assert found == pytest.approx(end, rel=1e-3) and calibration.at_edge(found)


def test_temperatures_within_the_range_are_at_no_end():
    mixed = calibration.fit_temperature(decided(np.array([0, 1, 1, 1])), exclusive=True)
    assert not any(map(calibration.at_edge, (0.051, 1.0, 19.9, mixed)))
    assert calibration.at_edge(30.0)  # as a card may say that was written by hand


@pytest.fixture
def fitted(tmp_path, monkeypatch):
    """What a classifier's card says whose every slice was taken for the other class."""
    scored = types.SimpleNamespace(measured=decided(WRONG))
    monkeypatch.setattr(temperatures.split_scores, "score", lambda *_: scored)
    net = tiny_nets.restored(task="classification")
    return temperatures.choose_of([out_of_fold.Fold("", net, None)], tmp_path)


def test_it_is_left_out_of_the_card_and_the_report_says_so(fitted, tmp_path, caplog):
    rules, said = fitted
    assert rules == Rules() and [*said] == [cards.LEFT_OUT]
    path = cards.write(tmp_path, rules, 7, said)
    postprocess._tell(path, rules, {**said, "chosen_on": "fold_3"}, tmp_path)
    words = "no temperature: its fit ended at 20, an end of the range from 0.05 to 20"
    assert f"card.json, by fold_3: {words}" in caplog.text
    card = cards.read(tmp_path, 7)
    record, split = tiny_nets.restored().record, types.SimpleNamespace(patients=["p"])
    assert card.temperature is None and words in notes.of_card(card, record, split)[0]
    assert notes.of_card(cards.Card(Rules(), None, 1.5), record, split) == []


def test_a_card_of_an_earlier_version_is_read_without_it(tmp_path, caplog):
    cards.write(tmp_path, Rules(), 7, {"temperature": 0.05 * (1 + 1e-5)})
    card = cards.read(tmp_path, 7)
    assert card.temperature is None and card.left_out == pytest.approx(0.05, rel=1e-3)
    assert "card.json: no temperature: its fit ended at 0.05" in caplog.text
    # Predictions are those of no temperature, and need not be made again for it.
    net = tiny_nets.restored()
    assert results.made_by(net, card) == results.made_by(
        net, cards.Card(Rules(), None, None)
    )


def test_a_temperature_of_no_number_above_zero_is_damage(tmp_path):
    cards.write(tmp_path, Rules(), 7, {"temperature": 0})
    with pytest.raises(ValueError, match="card.json is damaged"):
        cards.read(tmp_path, 7)


@pytest.mark.parametrize("all_right", [True, False])
def test_pixels_have_the_same_rule(tmp_path, monkeypatch, all_right):
    probs, truth = drawn((3, 40, 40, 1))
    tallies = counted(probs, probs > 0.5 if all_right else truth)
    net = tiny_nets.restored()
    monkeypatch.setattr(pixel_temperatures, "_tallies", lambda *_: tallies)
    fold = out_of_fold.Fold("fold_3", net, None)
    said = pixel_temperatures.choose_of([fold], tmp_path)
    assert (cards.LEFT_OUT in said) == all_right
    assert ("temperature" in said) == (not all_right)
