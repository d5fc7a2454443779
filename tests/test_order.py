"""The order of training is a pure function of (seed, step)."""

import numpy as np
import pytest

from brainseg_jax.data.order import Order

TUMOUR = np.arange(10) < 4


def drawn(order, steps):
    return np.concatenate([order.indices(step) for step in range(steps)])


def test_each_epoch_is_a_permutation_and_its_remainder_opens_the_next():
    order = Order(TUMOUR, batch_size=4, seed=0, tumour_share=0.0)
    indices = drawn(order, 5)  # 5 batches of 4 are 2 epochs of 10
    assert sorted(indices[:10]) == list(range(10))
    assert sorted(indices[10:]) == list(range(10))
    assert list(indices[:10]) != list(indices[10:])


def test_a_step_does_not_depend_on_what_was_asked_before():
    ahead = Order(TUMOUR, batch_size=3, seed=1, tumour_share=0.0)
    again = Order(TUMOUR, batch_size=3, seed=1, tumour_share=0.0)
    later = ahead.indices(17)
    drawn(again, 17)
    np.testing.assert_array_equal(again.indices(17), later)


def test_another_seed_gives_another_order():
    one, other = (drawn(Order(TUMOUR, 5, seed, 0.0), 4) for seed in (0, 1))
    assert list(one) != list(other)


def test_epochs_end_where_their_examples_are_used_up():
    order = Order(TUMOUR, batch_size=4, seed=0, tumour_share=0.0)
    assert [order.epoch_end(epoch) for epoch in (1, 2, 3)] == [2, 5, 7]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_tumour_share_holds_in_every_epoch(share):
    order = Order(TUMOUR, batch_size=5, seed=3, tumour_share=share)
    for epoch in range(4):
        indices = np.concatenate([order.indices(2 * epoch + k) for k in range(2)])
        assert TUMOUR[indices].sum() == round(10 * share)


def test_weighted_draws_use_all_slices_of_a_kind_before_one_returns():
    order = Order(TUMOUR, batch_size=10, seed=0, tumour_share=0.5)
    # 5 of 10 draws are of 4 tumour slices: 4 epochs are 20 draws, 5 of each slice.
    indices = drawn(order, 4)
    np.testing.assert_array_equal(np.bincount(indices[TUMOUR[indices]]), [5] * 4)


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match=r"batch_size=11 .* 10 training examples"):
        Order(TUMOUR, batch_size=11, seed=0, tumour_share=0.0)


def test_tumour_share_without_tumours_is_refused():
    with pytest.raises(ValueError, match="tumour_share"):
        Order(np.zeros(4, bool), batch_size=2, seed=0, tumour_share=0.5)
