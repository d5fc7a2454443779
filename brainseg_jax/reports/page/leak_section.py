"""What the splits of an experiment share, at the top of its report."""

from collections.abc import Sequence
from typing import NamedTuple

from brainseg_jax.reports.page.blocks import Alert, Block, Points, Section, Text, facts

NAMED = 5  # patients that are named


class Leaks(NamedTuple):
    """By the lists of patients in the checkpoint, and what an audit found, if any did."""

    split: str
    patients: int
    trained_on: Sequence[str]  # patients of the split
    chose_the_epoch: Sequence[str]  # patients of the split
    trained_and_validated: Sequence[str]  # patients of both
    audit: Sequence[str] | None  # its verdict; None: none of these splits
    unseen: str = ""  # then: what looks for copies of pictures


def section(leaks: Leaks) -> Section:
    found = facts(
        {
            f"Patients of {leaks.split}": leaks.patients,
            "of whom the model was trained on": _named(leaks.trained_on),
            "of whom chose the epoch": _named(leaks.chose_the_epoch),
            "Patients of both the training and the validation split": _named(
                leaks.trained_and_validated
            ),
        },
        ("By the names of patients", "found"),
    )
    return Section("Leak audit", [*_verdict(leaks), found, *_of_pictures(leaks)])


def _verdict(leaks: Leaks) -> list[Block]:
    of = f"of the {leaks.patients} patients of {leaks.split}"
    blocks: list[Block] = []
    if leaks.trained_on:
        blocks.append(
            Alert(
                f"LEAK: {len(leaks.trained_on)} {of} were trained on. These scores say "
                "nothing of new patients."
            )
        )
    if leaks.chose_the_epoch:
        blocks.append(
            Alert(
                f"{len(leaks.chose_the_epoch)} {of} chose the epoch: these scores are "
                "somewhat too good."
            )
        )
    if leaks.trained_and_validated:
        blocks.append(
            Alert(
                f"LEAK: {len(leaks.trained_and_validated)} patients are in both the "
                "training and the validation split: scores of validation are of what "
                "the model had seen, and so is what was chosen by them."
            )
        )
    return blocks or [
        Text(f"None {of} was trained on, and none chose the epoch of the model.")
    ]


def _of_pictures(leaks: Leaks) -> list[Block]:
    if leaks.audit is None:
        return [
            Text(
                "Copies and near-copies of pictures under other names were not looked "
                f"for. {leaks.unseen}"
            )
        ]
    return [
        Text(
            "What --mode=audit found among the pictures of these and all other patients of "
            "the run:"
        ),
        Points(leaks.audit),
    ]


def _named(patients: Sequence[str]) -> str:
    """How many, and the first of them by name."""
    if not patients:
        return "0"
    more = ", ..." if len(patients) > NAMED else ""
    return f"{len(patients)}: {', '.join(patients[:NAMED])}{more}"
