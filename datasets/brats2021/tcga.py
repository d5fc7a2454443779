"""The publisher's table of which case is which patient of The Cancer Genome Atlas.

Many of them are in the LGG set, too. With the table, a case's patient is called as there,
but for the date of the scan: TCGA_CS_4941.
"""

import csv
import io
import pathlib
import re
from collections.abc import Mapping, Sequence

from datasets.brats2021.raw_files import Files
from datasets.brats2021.releases import Case

CASE = re.compile(r"BraTS(?:2021_|-GLI-)(?:PHANTOM)?\d+(?:-\d+)?")
PATIENT = re.compile(r"TCGA[-_](?P<site>\w{2})[-_](?P<number>\w{4})(?![A-Za-z0-9])")

SHEETS = (".xlsx", ".xls", ".ods")

Told = tuple[dict[str, str], list[dict[str, str]]]  # patients by case, bad files


def find_patients(files: Files, cases: Sequence[Case]) -> Told:
    """The patient of each case, by its key, and tables that cannot be used.

    Any CSV among the files is read in which a row names a case and a patient of TCGA; what
    its columns are called does not matter. A case that no row names is its own patient's.
    """
    told: dict[str, str] = {}
    bad: list[dict[str, str]] = []
    for name in files.names:
        ending = pathlib.PurePosixPath(name).suffix.lower()
        if ending in SHEETS:
            reason = "is a spreadsheet, which is not read: save it as CSV in its place"
            bad.append({"file": name, "reason": reason})
        if ending != ".csv":
            continue
        try:
            rows = _read(files.read(name))
        except (ValueError, csv.Error) as error:
            bad.append({"file": name, "reason": f"cannot be read as a table ({error})"})
            continue
        for case, patient in rows:
            if told.setdefault(case, patient) != patient:
                reason = f"says that case {case} is {patient}'s and {told[case]}'s"
                bad.append({"file": name, "reason": reason})
    patients = {
        one.key: told.get(one.key) or told.get(one.patient) or one.patient
        for one in cases
    }
    known = sum(bool(PATIENT.match(name)) for name in patients.values())
    if known or not all(one.synthetic for one in cases):
        _tell(known, patients)
    return patients, bad


def _tell(known: int, patients: Mapping[str, str]) -> None:
    print(f"{known} of {len(patients)} cases are called by their patients in TCGA.")
    if not known:
        print("Whether a model trained on the LGG set knows them is not checked.")


def _read(data: bytes) -> list[tuple[str, str]]:
    """Case and patient of all rows that have both; a row may name a case of each year."""
    text = data.decode("utf-8-sig")
    found = []
    for row in csv.reader(io.StringIO(text, newline=""), strict=True):
        cells = [cell.strip() for cell in row]
        cases = [cell for cell in cells if CASE.fullmatch(cell)]
        for patient in filter(None, map(PATIENT.match, cells)):
            name = f"TCGA_{patient['site']}_{patient['number']}".upper()
            found += [(case, name) for case in cases]
    return found
