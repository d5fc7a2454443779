"""Slice-level splits as published; they leak patients, and only reproduce old numbers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

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


def splits_by_class(labels: Mapping[str, int], seed: int = 0) -> dict[str, list[str]]:
    """System 004's splits by slice, stratified by class: `labels` are of keys.

    3 tenths (its U-Net) or 2 (the others, and its parent) are held out for testing, rounded
    up; the last tenth of the rest is for validation, rounded up. Of the published 3,064
    that leaves 1,929, 215 and 920, or 2,205, 246 and 613. The published ones hold other
    slices, since they were drawn without a seed.
    """
    rank = {key: place for place, key in enumerate(labels)}
    splits = {}
    for tenths in (3, 2):
        order = _stratified_order(labels, seed + tenths)
        rest = len(order) - math.ceil(len(order) * tenths / 10)
        train = rest * 9 // 10
        parts = {
            "train": order[:train],
            "validation": order[train:rest],
            "test": order[rest:],
        }
        for name, part in parts.items():
            splits[f"leaky_{tenths}0_{name}"] = sorted(part, key=rank.__getitem__)
    return splits


def _stratified_order(labels: Mapping[str, int], seed: int) -> list[str]:
    """All keys in a random order, of which every stretch has classes in proportion."""
    keys, counts = list(labels), Counter(labels.values())
    seen: Counter[int] = Counter()
    places = {}
    for place in np.random.default_rng(seed).permutation(len(keys)):
        key = keys[place]
        places[key] = (seen[labels[key]] + 0.5) / counts[labels[key]]
        seen[labels[key]] += 1
    return sorted(keys, key=places.__getitem__)
