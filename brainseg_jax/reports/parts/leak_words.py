"""What two splits share, in words: the verdict of an audit, wherever it is told."""

from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax.data import twin_lists

COLUMNS = {  # of the printed table -> of audit.json
    "patients in both": "patients_in_both",
    "examples in both": "examples_in_both",
    "same pixels, one patient": "exact_pairs_of_one_patient",
    "same pixels, two patients": "exact_pairs_of_two_patients",
    "alike, one patient": "near_pairs_of_one_patient",
    "alike, two patients": "near_pairs_of_two_patients",
}
LEAKS = list(COLUMNS.values())[:4]  # what may not be at all
PAIRS = list(COLUMNS.values())[2:]
NOBODY = (
    "PATIENTS CANNOT BE TOLD: config.data.folder.one_patient_per_file says that each "
    "picture is another patient's, and nothing shows whether it is so. Pictures of one "
    "patient may be in two splits without a word of it here, and those that are called of "
    "two patients may be of one."
)
SOME = (
    f"At most {twin_lists.OF_A_GROUP} are listed of pictures that all look the same, and "
    f"{twin_lists.LISTED:,} of a column, the nearest."
)
LOOK = (
    "Pairs of two patients that are alike have to be looked at, and prove no leak: to a "
    "perceptual hash empty slices and similar anatomy are alike. There are {}."
)


def verdict(table: Sequence[Mapping[str, Any]], *, by_file: bool) -> list[str]:
    """Sentences on what leaks and what has to be looked at.

    `by_file`: each picture was said to be a patient's own, so that patients are not known.
    """
    if not table:
        return [
            "One split alone: there is nothing to compare. Name others in "
            "config.data.train, validation and test."
        ]
    lines = [
        f"LEAK from {row['first']} to {row['second']}: {row['patients_in_both']} of its "
        f"{row['patients_of_second']} patients, {row['examples_in_both']} of its "
        f"{row['examples_of_second']:,} examples are in both; "
        f"{row['examples_of_second_with_twins']:,} have a duplicate or near-duplicate."
        for row in table
        if any(row[key] for key in LEAKS)
    ]
    if not lines:
        what = "example" if by_file else "patient, no example"
        lines = [f"No {what} and no picture is in two splits."]
    if by_file:
        lines.append(NOBODY)
    alike = [
        f"{row['near_pairs_of_two_patients']:,} of {row['first']} and {row['second']}"
        for row in table
        if row["near_pairs_of_two_patients"]
    ]
    if alike:
        lines.append(LOOK.format(", ".join(alike)))
    lines += [
        f"{row['first']}, {row['second']}: pairs.csv lists {row['pairs_listed']:,} of "
        f"{sum(row[key] for key in PAIRS):,} pairs. {SOME}"
        for row in table
        if "pairs_listed" in row
    ]
    return lines
