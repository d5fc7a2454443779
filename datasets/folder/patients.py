"""Whose a picture is: by a pattern on its name, by a table, or each another's."""

import csv
import io
import pathlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NoReturn

from absl import logging

from datasets import archives, raw
from datasets.folder.parts import Example, stem
from datasets.folder.settings import EXAMPLE, GROUP, KEY, Settings

SHOWN = 3

Told = tuple[dict[str, str], list[dict[str, str]]]  # patients by key, files without one


def find_patients(
    examples: Sequence[Example], settings: Settings, files: archives.Files
) -> Told:
    """The patient of every example by its key, and the files of which none can be told.

    Raises:
        BadFile: if none can be told of any, the table cannot be used, or the names of two
            differ in case alone.
    """
    if settings.one_patient_per_file:
        return {one.key: one.key for one in examples}, []
    if settings.patient:
        told = _by_pattern(examples, settings.patient)
    elif settings.table:
        told = _by_table(examples, settings, files)
    else:
        raise raw.BadFile(f"{_unknown(examples)}\n{_ways()}")
    _refuse_other_case(told[0])
    shown = [f"{key} -> {patient}" for key, patient in [*told[0].items()][:SHOWN]]
    logging.info("Whose the files are, for example: %s.", ", ".join(shown))
    return told


def _refuse_other_case(patients: Mapping[str, str]) -> None:
    """Ann and ann may be one, who could then be trained and tested on."""
    seen: dict[str, str] = {}
    for key, patient in patients.items():
        other = seen.setdefault(patient.lower(), patient)
        if other != patient:
            raise raw.BadFile(
                f"{key} is of patient {patient}, and others are of {other}: spell a "
                "patient one way, and give different ones names that differ in more than "
                "case (--config.data.skip_bad_files=True does not help here)."
            )


def _by_pattern(examples: Sequence[Example], pattern: str) -> Told:
    patients, bad = {}, []
    for one in examples:
        found = re.search(pattern, one.key)
        if found and found[GROUP]:
            patients[one.key] = found[GROUP]
        else:
            reason = (
                f"has no patient by {KEY}.patient={pattern!r}, searched in {one.key}"
            )
            bad.append({"file": one.images[0], "reason": reason})
    if examples and not patients:
        raise raw.BadFile(
            f"{KEY}.patient={pattern!r} finds no patient in any name.\n"
            f"{_unknown(examples)}\n{_ways()}"
        )
    return patients, bad


def _by_table(
    examples: Sequence[Example], settings: Settings, files: archives.Files
) -> Told:
    """Rows name a file by its path or, where no two are called so, by its name alone."""
    rows = _read(settings, files)
    shared = Counter(pathlib.PurePosixPath(one.key).name for one in examples)
    patients, bad = {}, []
    for one in examples:
        name = next((name for name in _names(one) if name in rows), "")
        found = sorted(rows.get(name, ()))
        if not found:
            reason = f"has no row in {settings.table}"
        elif "/" in one.key and "/" not in name and shared[name] > 1:
            reason = (
                f"is one of {shared[name]} files that {settings.table} calls {name}"
            )
        elif len(found) > 1 or not found[0]:
            said = f"patients {', '.join(found)}" if found[0] else "no patient"
            reason = f"has {said} in {settings.table}"
        else:
            patients[one.key] = found[0]
            continue
        bad.append({"file": one.images[0], "reason": reason})
    if examples and not patients:
        raise raw.BadFile(
            f"{KEY}.table={settings.table} has the patient of no picture; its first files "
            f"are {', '.join(list(rows)[:SHOWN]) or '(none)'}.\n{_unknown(examples)}"
        )
    return patients, bad


def _names(one: Example) -> list[str]:
    """What a row may call an example, without an ending; the longest first."""
    paths = [stem(one.images[0]), one.key]
    return [*paths, *(pathlib.PurePosixPath(path).name for path in paths)]


def _read(settings: Settings, files: archives.Files) -> dict[str, set[str]]:
    """Patients by file, endings left out."""
    text = _text(settings.table, files)
    table = csv.DictReader(io.StringIO(text, newline=None))  # of any line ends
    try:
        columns = [name.strip() for name in table.fieldnames or ()]
        table.fieldnames = columns
        rows = [*table]
    except csv.Error as error:
        _refuse(settings.table, f"is not a CSV ({error})")
    if absent := [name for name in settings.table_columns if name not in columns]:
        _refuse(
            settings.table,
            f"has no column {absent[0]!r}; it has {', '.join(columns) or 'none'}. Name "
            f"those of file and patient with {KEY}.table_columns=\"('file', 'patient')\"",
        )
    file, patient = settings.table_columns
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        path = (row[file] or "").strip().replace("\\", "/").removeprefix("./")
        found[stem(path)].add((row[patient] or "").strip())
    return found


def _text(table: str, files: archives.Files) -> str:
    """Of a table among the raw files, or of any other."""
    path = pathlib.Path(table).expanduser()
    try:
        content = files.read(table) if table in files.names else path.read_bytes()
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        _refuse(table, f"is neither in {files.path} nor a file elsewhere")
    except (ValueError, OSError) as error:
        _refuse(table, f"cannot be read as a table of text ({error})")


def _refuse(table: str, reason: str) -> NoReturn:
    raise raw.BadFile(f"{KEY}.table={table} {reason}.")


def _unknown(examples: Sequence[Example]) -> str:
    shown = "".join(f"\n  {one.key}" for one in examples[:SHOWN])
    return f"It is not known whose these pictures are, such as{shown}"


def _ways() -> str:
    return f"""\
A patient may not be trained and tested on at once, so say it in one of these ways:
  --{EXAMPLE}
    a regular expression that finds the patient in such a name
  --{KEY}.table=patients.csv
    a table with the columns file and patient
  --{KEY}.one_patient_per_file=True
    if each file is another patient's; all tables and reports then say so"""
