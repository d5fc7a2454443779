"""Slice-level splits as published; they leak patients, and only reproduce old numbers."""

from collections.abc import Sequence

import numpy as np


def leaky_splits(keys: Sequence[str], seed: int = 0) -> dict[str, list[str]]:
    """A tenth of the slices is held out, half of it for validation; patients are ignored.

    Fractions round up, as scikit-learn's do, which gives the published 3,536, 197 and
    196 of 3,929. The published splits hold other slices, since their order of files is not
    known.
    """
    held_out = -(-len(keys) // 10)
    validation = -(-held_out // 2)
    order = np.random.default_rng(seed).permutation(len(keys))
    train, rest = order[held_out:], order[:held_out]
    parts = {
        "leaky_train": train,
        "leaky_validation": rest[:validation],
        "leaky_test": rest[validation:],
    }
    return {
        name: [keys[place] for place in sorted(part)] for name, part in parts.items()
    }
