"""How well the nearest stored cases are of a query's own class, beside a random order.

A case is near by the cosine distance of vectors of length 1. Average precision is over all
stored cases, precision at k over the k that are shown: of each patient the nearest alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from brainseg_jax.metrics import ranking


class Retrieved(NamedTuple):
    """Of each query: what its ranking of stored cases scores."""

    average_precision: Float[np.ndarray, " n"]
    precision: Float[np.ndarray, " n"]  # at k


def cosine_distances(
    ones: Float[np.ndarray, "n f"], others: Float[np.ndarray, "m f"]
) -> Float[np.ndarray, "n m"]:
    """1 - cosine, of rows of length 1: 0 for the same direction, 2 for the opposite."""
    return np.clip(1 - ones @ others.T, 0, 2)


def nearest_patients(
    distances: Float[np.ndarray, " m"], patients: Sequence[str], count: int
) -> Int[np.ndarray, " k"]:
    """Places of the nearest cases, of each patient the nearest one; nan is left out."""
    found: dict[str, int] = {}
    for place in np.argsort(distances, kind="stable"):
        if len(found) == count or np.isnan(distances[place]):
            break
        found.setdefault(patients[place], int(place))
    return np.array([*found.values()], int)


def score(
    distances: Float[np.ndarray, "n m"],
    query_labels: Int[np.ndarray, " n"],
    labels: Int[np.ndarray, " m"],
    patients: Sequence[str],
    count: int,
) -> Retrieved:
    """A case is right if it is of the query's class; nan distances are left out."""
    relevant = query_labels[:, None] == labels
    scores = []
    for own, right in zip(distances, relevant, strict=True):
        kept = ~np.isnan(own)
        near = nearest_patients(own, patients, count)
        precision = right[near].mean() if len(near) else np.nan
        average = ranking.average_precision(-own[kept], right[kept])
        scores.append((average, precision))
    return Retrieved(*np.array(scores, float).reshape(-1, 2).T)


def in_random_order(
    distances: Float[np.ndarray, "n m"], rng: np.random.Generator
) -> Float[np.ndarray, "n m"]:
    """Others in their place, for the same queries and cases; what is left out stays so."""
    return np.where(np.isnan(distances), np.nan, rng.random(distances.shape))
