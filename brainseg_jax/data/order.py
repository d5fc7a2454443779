"""Which examples make each training batch: a pure function of (seed, step)."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Int


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of training.

    Each epoch draws as many examples as there are. With `tumour_share` 0 it is a
    permutation; else that share of the draws is of tumour slices, each kind going through
    permutations of its own. Batches are always full: an epoch's remainder opens the next.
    """

    tumour: Bool[np.ndarray, " n"]
    batch_size: int
    seed: int
    tumour_share: float

    def __post_init__(self):
        if self.batch_size > len(self.tumour):
            raise ValueError(
                f"config.batch_size={self.batch_size} is more than the "
                f"{len(self.tumour)} training examples; make it smaller."
            )
        if self.tumour_share and not 0 < self.tumour.sum() < len(self.tumour):
            raise ValueError(
                f"config.data.tumour_share={self.tumour_share} needs slices with and "
                "without tumour among the training examples; set it to 0."
            )

    def epoch_end(self, epoch: int) -> int:
        """Steps taken when `epoch` (from 1) ends."""
        return epoch * len(self.tumour) // self.batch_size

    def indices(self, step: int) -> Int[np.ndarray, " b"]:
        """Examples of the batch that takes the model from `step` to `step + 1`."""
        drawn = step * self.batch_size + np.arange(self.batch_size)
        epochs, places = np.divmod(drawn, len(self.tumour))
        return np.concatenate(
            [_epoch(self, int(e))[places[epochs == e]] for e in np.unique(epochs)]
        )

    def _draw(self, epoch: int) -> Int[np.ndarray, " n"]:
        count = len(self.tumour)
        if not self.tumour_share:
            return _generator(self.seed, 0, epoch).permutation(count)
        with_tumour = round(count * self.tumour_share)
        drawn = [
            self._stream(kind, epoch * size, size)
            for kind, size in ((1, with_tumour), (2, count - with_tumour))
        ]
        return _generator(self.seed, 0, epoch).permutation(np.concatenate(drawn))

    def _stream(self, kind: int, start: int, count: int) -> Int[np.ndarray, " count"]:
        """Part of an endless row of permutations of the slices with (1) or without (2)."""
        members = np.flatnonzero(self.tumour == (kind == 1))
        rounds = range(start // len(members), (start + count) // len(members) + 1)
        row = [
            _generator(self.seed, kind, turn).permutation(members) for turn in rounds
        ]
        offset = start % len(members)
        return np.concatenate(row)[offset : offset + count]


# Outside the class, so that the cache is bounded over all orders.
@functools.lru_cache(maxsize=4)
def _cached_epoch(key: tuple, epoch: int) -> np.ndarray:
    tumour, batch_size, seed, share = key
    order = Order(np.frombuffer(tumour, bool), batch_size, seed, share)
    return order._draw(epoch)


def _epoch(order: Order, epoch: int) -> np.ndarray:
    key = (order.tumour.tobytes(), order.batch_size, order.seed, order.tumour_share)
    return _cached_epoch(key, epoch)


def _generator(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)
