"""Slice-level splits as published. They leak patients: only to reproduce old numbers."""

from collections.abc import Sequence

import numpy as np


def leaky_splits(keys: Sequence[str], seed: int = 0) -> dict[str, list[str]]:
    """A tenth of the slices held out and halved, whoever they belong to.

    Fractions round up, as scikit-learn's do, which gives the published 3,536, 197 and
    196 of 3,929. The published order of files is not known, so neither are the very
    slices.
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
