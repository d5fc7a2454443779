"""What two splits of an experiment share: patients, examples, pictures."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt64

from brainseg_jax.data import twins
from brainseg_jax.data.index import Index
from brainseg_jax.data.twin_lists import Pictures
from brainseg_jax.data.twins import EXACT, NEAR

# Of The Cancer Genome Atlas; LGG's names go on with the date of the scan.
DATED = re.compile(r"(?P<person>TCGA_\w{2}_\w{4})_\d{8}")


class Part(NamedTuple):
    """One split: rows of the data set's index, and what their pictures hash to."""

    name: str  # such as train
    rows: list[int]
    digests: list[bytes]
    hashes: UInt64[np.ndarray, "n words"]


class Twins(NamedTuple):
    """Two examples that look the same, by rows of the index."""

    kind: str  # EXACT or NEAR
    first: int
    second: int
    distance: int  # bits of 256 in which the perceptual hashes differ
    same_patient: bool


class Shared(NamedTuple):
    """What a second split has in common with a first one."""

    first: str
    second: str
    patients: list[str]
    examples: list[int]  # rows in both splits, of which no twins are listed
    tally: twins.Tally  # how many pairs there are
    twins: list[Twins]  # those listed: exact ones first, then the nearest
    second_with_twins: int
    second_patients: int  # how many the second split has
    second_examples: int

    @property
    def unlisted(self) -> int:
        """Pairs that are only counted."""
        return sum(self.tally.values()) - len(self.twins)

    def pick(self, kind: str, *, same_patient: bool) -> list[Twins]:
        return [
            one
            for one in self.twins
            if one.kind == kind and one.same_patient == same_patient
        ]


def known(patients: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of `patients` who are among `others`, in whichever data set those are."""
    persons = {person(other) for other in others}
    return sorted({one for one in patients if person(one) in persons})


def person(patient: str) -> str:
    """A patient's name without what only some data sets add to it."""
    found = DATED.fullmatch(patient)
    return found["person"] if found else patient


def compare(first: Part, second: Part, index: Index) -> Shared:
    """Pairs are told apart by patient; nobody is taken for the same person by a hash."""
    ones, others = (
        Pictures(part.rows, [index.patients[row] for row in part.rows], *part[2:])
        for part in (first, second)
    )
    found = twins.find(ones, others)
    return Shared(
        first.name,
        second.name,
        patients=sorted({*ones.patients} & {*others.patients}),
        examples=sorted({*ones.rows} & {*others.rows}),
        tally=found.tally,
        twins=[
            _twins(kind, first.rows[i], second.rows[j], distance, index)
            for kind, pairs in ((EXACT, found.exact), (NEAR, found.near))
            for i, j, distance in pairs
        ],
        second_with_twins=found.with_twins,
        second_patients=len({*others.patients}),
        second_examples=len(second.rows),
    )


def counts(shared: Shared) -> dict[str, Any]:
    """A row of the table, for audit.json."""
    return {
        "first": shared.first,
        "second": shared.second,
        "patients_in_both": len(shared.patients),
        "patients_of_second": shared.second_patients,
        "examples_in_both": len(shared.examples),
        "examples_of_second": shared.second_examples,
        "examples_of_second_with_twins": shared.second_with_twins,
        **{
            f"{kind}_pairs_of_{whose}": shared.tally[kind, same]
            for kind in (EXACT, NEAR)
            for whose, same in (("one_patient", True), ("two_patients", False))
        },
        **({"pairs_listed": len(shared.twins)} if shared.unlisted else {}),
    }


def pair_rows(found: Sequence[Shared], index: Index) -> list[dict[str, Any]]:
    """Every pair, as pairs.csv has them."""
    return [
        {
            "kind": one.kind,
            "same_patient": one.same_patient,
            "bits_that_differ": one.distance,
            **_columns(shared.first, one.first, index, "first"),
            **_columns(shared.second, one.second, index, "second"),
        }
        for shared in found
        for one in shared.twins
    ]


def _columns(split: str, row: int, index: Index, which: str) -> dict[str, str]:
    return {
        f"{which}_split": split,
        f"{which}_patient": index.patients[row],
        f"{which}_key": index.keys[row],
    }


def _twins(kind: str, first: int, second: int, distance: int, index: Index) -> Twins:
    same = index.patients[first] == index.patients[second]
    return Twins(kind, first, second, distance, same)
