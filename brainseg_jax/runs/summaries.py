"""summary.json of a report: its keys, and the version of their list."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from brainseg_jax import files

Row = dict[str, Any]
FILE = "summary.json"
SCHEMA = "2"  # no number: it is no score
KNOWN = ("1", SCHEMA)
# Beside scores, whose names the task has. docs/reports.md lists them in the same words.
KEYS = {
    "schema": "the version of this list",
    "note": "what has to be said wherever these scores are shown",
    "data": "data set and its version",
    "split": "what was scored",
    "patients": "how many",
    "slices": "how many examples, slices or volumes",
    "dimensions": "2 for slices, 3 for volumes",
    "checkpoint_step": "of the weights",
    "threshold": "above which a pixel or a class counts",
    "empty_masks": "of masks: the policy of empty ones",
    "undefined": "of classes: what an undefined score is",
    "mirrored": "axes over which predictions were averaged",
    "tversky": "of masks: alpha and beta of that score",
    "surface_distances": "of masks: convention, tolerance, unit, what a patient's are",
    "calibration_of_pixels": "of masks: which pixels count",
    "calibration": "with a card: temperature, and errors by it",
    "post_processing": "with a card: rules, threshold, and scores by them",
    "leaks": "patients that other splits share, and the audit's verdict",
    "made_by": "hashes, commits, versions and devices",
    "over_patients": "the rows of scores.csv; of two heads `mask/over_patients` and "
    "`label/over_patients`",
    "loss": "mean over examples; null where it was not computed",
}


def write(
    folder: pathlib.Path, summary: Row, spread: Mapping[str, Sequence[Row]]
) -> pathlib.Path:
    """`spread` are the tables scores.csv; they become over_patients."""
    over = {
        name.replace("scores.csv", "over_patients"): rows
        for name, rows in spread.items()
    }
    return files.write_json(folder / FILE, {"schema": SCHEMA, **summary, **over})


def refuse_newer(summary: Mapping[str, Any], path: pathlib.Path, again: str) -> None:
    """Files without a version are older, and known.

    Raises:
        ValueError: if a version that is not known yet wrote it.
    """
    schema = str(summary.get("schema", "1"))
    if schema not in KNOWN:
        raise ValueError(
            f"{path} has schema {schema}, and this version of brainseg_jax knows "
            f"{' and '.join(KNOWN)}. Update it, or score anew: {again}"
        )
