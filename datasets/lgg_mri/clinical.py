"""The publisher's clinical table, data.csv: what is known of each patient, as written.

It decides nothing: splits and patients come from the folders alone.
"""

import csv
import io
import pathlib
from collections.abc import Iterable

from datasets import raw
from datasets.lgg_mri import raw_files

NAME, PATIENT = "data.csv", "Patient"


def read_table(
    files: raw.Folder | raw.Zip, patients: Iterable[str]
) -> tuple[dict[str, dict[str, str]], list[dict[str, str]]]:
    """Columns by patient, "" where not known, and the table as a bad file if it is one.

    Some copies of the data come without the table, and it may lack patients. It names a
    patient without the date of the scan that a folder's name ends in.
    """
    name = _find(files.names)
    if name is None:
        return {}, []
    try:
        text = files.read(name).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (*raw_files.UNREADABLE, csv.Error) as error:
        return {}, [{"file": name, "reason": f"cannot be read as a table ({error})"}]
    if any(PATIENT not in row or None in row or None in row.values() for row in rows):
        reason = (
            f"has no column {PATIENT}, or rows that are longer or shorter than others"
        )
        return {}, [{"file": name, "reason": reason}]
    of = {row.pop(PATIENT): row for row in rows}
    known = {patient: of.get(patient.rpartition("_")[0]) for patient in patients}
    return {patient: row for patient, row in known.items() if row}, []


def _find(names: Iterable[str]) -> str | None:
    """The one nearest to the top: Kaggle's zip holds everything twice."""
    found = [name for name in names if pathlib.PurePosixPath(name).name == NAME]
    return min(found, key=lambda name: (name.count("/"), name), default=None)
