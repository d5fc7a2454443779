"""What a scored split shares with what its model was made of.

Patients are compared always, by the lists in the checkpoint, which costs nothing. Pictures
are hashed by --mode=audit alone; what it found is read where it was of these splits.
"""

import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import logging

from brainseg_jax.data import leakage, sources
from brainseg_jax.reports.page.leak_section import Leaks
from brainseg_jax.reports.parts import leak_words
from brainseg_jax.runs.records import About, Record

FILE = pathlib.Path("audit") / "audit.json"  # in the run's folder
ROLES = ("train", "validation", "test")


def find(
    models: Sequence[tuple[Record, sources.Source]], split: str, workdir: pathlib.Path
) -> Leaks:
    """Of each model with what it was scored on; `workdir` is where an audit may lie."""
    first, of_first = models[0]
    return Leaks(
        split=split,
        patients=len({one for _, source in models for one in source.patients}),
        trained_on=_of_any(
            leakage.known(source.patients, record.about.trained_patients)
            for record, source in models
        ),
        chose_the_epoch=_of_any(
            leakage.known(source.patients, record.choice.patients)
            for record, source in models
        ),
        trained_and_validated=_of_any(
            leakage.known(
                record.about.validation_patients, record.about.trained_patients
            )
            for record, _ in models
        ),
        audit=read_audit(workdir / FILE, first.about, of_first),
    )


def read_audit(
    path: pathlib.Path, about: About, source: sources.Source
) -> Sequence[str] | None:
    """The verdict on the run's own splits; None where nobody looked at just these."""
    try:
        said = json.loads(path.read_text())
        if not _is_of(said, about, source):
            return None
        return leak_words.verdict(
            said["shared"], by_file=source.info.one_patient_per_file
        )
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        logging.warning(
            "%s is damaged (%r) and left aside; --mode=audit writes it.", path, error
        )
        return None


def command(workdir: str | pathlib.Path) -> str:
    """What looks for copies, so that the report finds what it found."""
    return f"python main.py --mode=audit --config=<its config> --workdir={workdir}"


def to_json(leaks: Leaks) -> dict[str, Any]:
    """As summary.json has it: counts, and the audit's words or null."""
    return {
        "patients_trained_on": len(leaks.trained_on),
        "patients_that_chose_the_epoch": len(leaks.chose_the_epoch),
        "patients_trained_on_and_validated": len(leaks.trained_and_validated),
        "audit": None if leaks.audit is None else [*leaks.audit],
    }


def _of_any(groups: Iterable[Sequence[str]]) -> list[str]:
    return sorted({one for group in groups for one in group})


def _is_of(said: Mapping[str, Any], about: About, source: sources.Source) -> bool:
    """Whether an audit is of the splits of this run, in this version of the data."""
    options = about.config["data"]
    return (
        said["data_set"] == options["name"] == source.info.name
        and said["version"] == source.info.version
        and said["splits"] == {role: options[role] for role in ROLES}
    )
