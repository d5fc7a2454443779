"""docs/prediction.md names the columns and formats that there are."""

import pathlib
import re

from brainseg_jax.data import image_files, modalities
from brainseg_jax.modes import predict
from brainseg_jax.runs import results

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "prediction.md"


def rows_below(header):
    """Cells of the table that begins so."""
    _, _, below = PAGE.read_text().partition(header)
    lines = below.strip().splitlines()[1:]
    table = lines[: next((k for k, one in enumerate(lines) if one[:1] != "|"), None)]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in table]


def is_known(column):
    """Whether COLUMNS has it, or the pattern that it follows."""
    patterns = [re.sub(r"<\w+>", r".+", name) for name in results.COLUMNS]
    return any(re.fullmatch(pattern, column) for pattern in patterns)


def test_the_columns_are_those_of_the_code():
    found = rows_below("| column | what it says |")
    assert [[f"`{k}`", v] for k, v in results.COLUMNS.items()] == found


def test_every_format_is_named():
    named = " ".join(row[0] for row in rows_below("| input | what it is | mask |"))
    for ending in (*image_files.ENDINGS[:7], *modalities.ENDINGS):
        assert f"`{ending}`" in named, ending


def test_what_may_be_asked_for_is_named():
    named = " ".join(row[0] for row in rows_below("| `--also` | of | what |"))
    assert {*re.findall(r"`(\w+)`", named)} == {*predict.ALSO}
