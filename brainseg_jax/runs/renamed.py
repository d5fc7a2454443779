"""What older versions called scores and columns, as these are called now."""

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

SCORES = ("patient_vote_", "patient_mean_probability_")  # within a name: then, now
COLUMNS = {"vote": "predicted"}  # of patients.csv


def score(name: str) -> str:
    """Of a summary, of config.evaluation.metric, or of a column of the history."""
    return name.replace(*SCORES)


def scores(row: Mapping[str, Any]) -> Row:
    """A summary or a row of the history."""
    return {score(name): value for name, value in row.items()}


def columns(row: Mapping[str, Any]) -> Row:
    """A row of a table of patients."""
    return {COLUMNS.get(name, name): value for name, value in row.items()}
