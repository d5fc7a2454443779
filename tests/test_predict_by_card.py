"""Predictions as a run's card says: threshold, rules of masks, temperature of classes."""

import cv2
import numpy as np
import pytest

from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.modes import predict
from brainseg_jax.runs.cards import Card
from tests import tiny_nets
from tests.test_predictions import run, write


@pytest.fixture
def carded(monkeypatch):
    """Lets --workdir be a run of a net that marks what is bright, with this card."""

    def give(card, **options):
        net = tiny_nets.restored(**options)
        monkeypatch.setattr(predict.ensembles, "restore_all", lambda _: net)
        monkeypatch.setattr(predict.ensembles, "card_of", lambda *_: card)

    return give


def test_small_parts_of_a_slice_are_taken_away(carded, tmp_path):
    write(tmp_path / "in" / "a.png", [(3, 5, 4, 2), (15, 10, 6, 6)])
    carded(Card(Rules(least_part=10), None, None))
    (row,) = run(tmp_path)
    assert (row["pixels"], row["lesions"], row["post_processed"]) == (36, 1, True)
    carded(None)  # another request: predicted anew
    (row,) = run(tmp_path)
    assert (row["pixels"], row["lesions"], row["post_processed"]) == (44, 2, False)


def test_the_largest_part_is_that_of_all_slices(carded, tmp_path):
    write(tmp_path / "in" / "in_1.png", [(3, 5, 4, 2)])
    write(tmp_path / "in" / "in_2.png", [(3, 5, 4, 2)])
    write(tmp_path / "in" / "in_3.png", [(15, 10, 3, 3)])
    carded(Card(Rules(largest=True), None, None), batch=2)
    assert [row["pixels"] for row in run(tmp_path)] == [8, 8, 0]


def test_masks_are_marked_above_the_threshold_of_the_card(carded, tmp_path):
    image = np.full((24, 24), 20, np.uint8)
    image[2:4, 2:4], image[8:10, 8:11] = 250, 130  # of the latter 0.6 is predicted
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), image)
    carded(None)
    assert run(tmp_path)[0]["pixels"] == 10
    carded(Card(Rules(), 0.7, None))
    assert run(tmp_path)[0]["pixels"] == 4


def test_classes_have_the_temperature_of_the_card(carded, tmp_path):
    write(tmp_path / "in" / "a.png", [(0, 0, 24, 12)])
    probs = {}
    for temperature in (None, 2.0):
        carded(Card(Rules(), None, temperature), task="classification")
        (row,) = run(tmp_path)
        probs[temperature] = row["probability_tumour"], row["class"]
    (sure, name), (calm, same) = probs[None], probs[2.0]
    odds = np.sqrt(sure / (1 - sure))  # half the logit
    assert calm == pytest.approx(odds / (1 + odds), abs=1e-4) and name == same


def test_probabilities_of_masks_have_it_too_and_masks_do_not(carded, tmp_path):
    image = np.full((24, 24), 130, np.uint8)  # of which 0.6 is predicted
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), image)
    found = {}
    for temperature in (None, 2.0):
        carded(Card(Rules(), 0.57, temperature))
        (row,) = run(tmp_path, also=["probabilities"])
        with np.load(tmp_path / "out" / "a_probabilities.npz") as maps:
            found[temperature] = float(maps["tumour"].mean()), row["pixels"]
    (sure, many), (calm, same) = found[None], found[2.0]
    odds = np.sqrt(sure / (1 - sure))
    assert calm == pytest.approx(odds / (1 + odds), abs=1e-3)
    # The threshold is of what the net gives: 0.55 would be below it.
    assert calm < 0.57 and many == same == 24 * 24
