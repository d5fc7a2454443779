"""The end of an epoch, by hand: what is best, how long it was waited, where the rate is."""

import math

import pytest

from brainseg_jax.runs import epochs
from brainseg_jax.runs.records import Progress
from brainseg_jax.training.optimisers import Plateau


def row(epoch, score=None, name="dice"):
    """An epoch's row of history; without a score it was not evaluated."""
    scored = (
        {} if score is None else {"validation_loss": 1.0, f"validation_{name}": score}
    )
    return {"epoch": epoch, "train_loss": 0.5, **scored}


def close(progress, *rows, mode="max", plateau=None):
    for one in rows:
        progress = epochs.close_epoch(
            progress, one, metric="dice", mode=mode, plateau=plateau
        )
    return progress


def test_losses_are_averaged_over_the_steps_of_their_epoch():
    first = epochs.add_losses(Progress(), [{"loss": 1.0, "dice": 0.5}])
    both = epochs.add_losses(first, [{"loss": 3.0, "dice": 0.1}])
    assert epochs.mean_losses(both) == {"loss": 2.0, "dice": pytest.approx(0.3)}
    assert first.sums["steps"] == 1  # what was saved of it does not change


def test_the_best_epoch_is_the_first_of_the_highest_score():
    progress = close(Progress(), row(1, 0.4), row(2, 0.7), row(3, 0.7), row(4, 0.6))
    assert (progress.best_epoch, progress.best_score) == (2, 0.7)
    assert (progress.epoch, progress.waited) == (4, 2)
    assert [one["epoch"] for one in progress.history] == [1, 2, 3, 4]


def test_of_a_loss_the_lowest_is_best():
    progress = close(Progress(), row(1, 0.4), row(2, 0.3), row(3, 0.5), mode="min")
    assert (progress.best_epoch, progress.best_score) == (2, -0.3)


def test_an_epoch_without_a_score_neither_waits_nor_forgets():
    progress = close(Progress(), row(1, 0.4), row(2), row(3, math.nan))
    assert (progress.epoch, progress.best_epoch, progress.waited) == (3, 1, 0)


def test_closing_an_epoch_opens_the_next_with_empty_sums():
    under_way = epochs.add_losses(Progress(), [{"loss": 1.0}])
    assert close(under_way, row(1, 0.4)).sums == {}


def test_the_rate_falls_after_patience_and_not_below_its_floor():
    plateau = {"factor": 0.1, "patience": 2, "min_delta": 0.0, "floor": 0.05}
    scores = (0.5, 0.4, 0.4, 0.4, 0.4)
    progress = close(
        Progress(), *(row(k, s) for k, s in enumerate(scores, 1)), plateau=plateau
    )
    # Two epochs without a better one: 0.1; two more: 0.01, which is below the floor.
    assert progress.plateau == Plateau(best=0.5, waited=0, scale=0.05)


def test_a_run_ends_with_its_epochs_or_its_patience():
    progress = close(Progress(), row(1, 0.5), row(2, 0.4), row(3, 0.4))
    assert epochs.is_finished(progress, epochs=3, patience=0)
    assert epochs.is_finished(progress, epochs=9, patience=2)
    assert not epochs.is_finished(progress, epochs=9, patience=3)
    assert not epochs.is_finished(progress, epochs=9, patience=0)
