"""Stored cases by how much a net sees them as it sees another one."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from brainseg_jax.data import leakage
from brainseg_jax.data.sources import Source
from brainseg_jax.metrics import resampling, retrieval
from brainseg_jax.metrics.retrieval import Retrieved

BLOCK = 256  # queries that are compared at a time with all stored slices
NET, RANDOM, ALL = "net", "random", "all"
Row = dict[str, Any]


class Stored(NamedTuple):
    """Slices or volumes that are searched, with a vector of length 1 for each."""

    source: Source
    vectors: np.ndarray  # [m, f]

    def class_of(self, place: int) -> str:
        return self.source.info.labels[self.source.labels[place]]


def distances(
    stored: Stored, vectors: np.ndarray, own: Sequence[Sequence[str]]
) -> np.ndarray:
    """[n, m]; nan of slices of the patients that are each query's `own`."""
    found = retrieval.cosine_distances(vectors, stored.vectors)
    patients = np.asarray(stored.source.patients)
    for k, names in enumerate(own):
        found[k, np.isin(patients, list(names))] = np.nan
    return found


def find(stored: Stored, distances: np.ndarray, count: int) -> list[Row]:
    """The nearest slice of each of the `count` nearest patients, the nearest first."""
    source = stored.source
    return [
        {
            "rank": rank,
            "patient": source.patients[place],
            "class": stored.class_of(place),
            "distance": round(float(distances[place]), 6),
            "slice": source.slices[place],
            "key": source.keys[place],
            "place": int(place),
        }
        for rank, place in enumerate(
            retrieval.nearest_patients(distances, source.patients, count), start=1
        )
    ]


def named_in(path: str, patients: Sequence[str]) -> list[str]:
    """Patients whose name is a whole word of a path: the file's own, to be left out."""
    return [
        one
        for one in dict.fromkeys(patients)
        if re.search(
            rf"(?<![A-Za-z0-9]){re.escape(leakage.person(one))}(?![A-Za-z0-9])", path
        )
    ]


def owners(stored: Stored, patients: Sequence[str]) -> list[list[str]]:
    """Of each query's patient the names that the stored slices have of the same person."""
    known = [*{*stored.source.patients}]
    found = {who: leakage.known(known, [who]) for who in {*patients}}
    return [found[who] for who in patients]


def judge(
    stored: Stored, asked: Source, vectors: np.ndarray, count: int
) -> dict[str, Retrieved]:
    """Scores of every query, by the net's order and by a random one of the same slices."""
    own, rng = owners(stored, asked.patients), np.random.default_rng(0)
    source = stored.source
    found: dict[str, list[Retrieved]] = {NET: [], RANDOM: []}
    for start in range(0, len(vectors), BLOCK):
        block = slice(start, start + BLOCK)
        apart = distances(stored, vectors[block], own[block])
        for order, ranked in (
            (NET, apart),
            (RANDOM, retrieval.in_random_order(apart, rng)),
        ):
            scores = retrieval.score(
                ranked, asked.labels[block], source.labels, source.patients, count
            )
            found[order].append(scores)
    return {
        order: Retrieved(*map(np.concatenate, zip(*parts, strict=True)))
        for order, parts in found.items()
    }


def table(scores: Mapping[str, Retrieved], asked: Source, count: int) -> list[Row]:
    """A row for each class of the queries, and for all: means, intervals over patients."""
    labels, patients = np.asarray(asked.labels), np.asarray(asked.patients)
    names = asked.info.labels
    groups = {ALL: np.ones(len(labels), bool)} | {
        names[k]: labels == k for k in range(len(names)) if (labels == k).any()
    }
    rows = []
    for name, chosen in groups.items():
        row: Row = {
            "class": name,
            "queries": int(chosen.sum()),
            "patients": len({*patients[chosen]}),
        }
        for order, own in scores.items():
            for score, values in (
                ("map", own.average_precision),
                (f"precision_at_{count}", own.precision),
            ):
                column = score if order == NET else f"{order}_{score}"
                mean, low, high = resampling.mean_with_interval(
                    values[chosen], patients[chosen].tolist()
                )
                row |= {column: mean}
                if order == NET:
                    row |= {f"{column}_low": low, f"{column}_high": high}
        rows.append(row)
    return rows
