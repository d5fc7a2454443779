"""What a scored split shares with what its model was made of.

Patients are compared always, by the lists in the checkpoint, which costs nothing. Pictures
are hashed by --mode=audit alone, which reads all of them; what it found is read where it
was of the scored split and of all that the model was made of.
"""

import json
import pathlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import logging

from brainseg_jax.data import leakage, sources
from brainseg_jax.reports.page.leak_section import Leaks
from brainseg_jax.reports.parts import leak_words
from brainseg_jax.runs import out_of_fold
from brainseg_jax.runs.records import About, Record

FILE = pathlib.Path("audit") / "audit.json"  # in the run's folder
ROLES = ("train", "validation", "test")
Models = Sequence[tuple[Record, sources.Source]]  # each with what it was scored on


def find(models: Models, split: str, workdir: pathlib.Path) -> Leaks:
    """`workdir` is where an audit may lie."""
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
        audit=read_audit(workdir / FILE, models, split),
        unseen=remedy(models, split, workdir),
    )


def roles_of(abouts: Sequence[About], *, by_fold: bool) -> dict[str, str]:
    """The splits that an audit compares: a run's own, or all folds one by one.

    Of a cross-validation each fold is scored by models that others were made of.
    """
    options = [about.config["data"] for about in abouts]
    if not by_fold:
        return {role: options[0][role] for role in ROLES}
    named = {fold for one in options for role in ROLES for fold in one[role].split("+")}
    return {fold: fold for fold in sorted(named - {""})}


def read_audit(path: pathlib.Path, models: Models, split: str) -> Sequence[str] | None:
    """Its verdict; None where nobody looked at just what was scored and trained on."""
    if not _can_be_looked_for(models, split):
        return None
    try:
        said = json.loads(path.read_text())
        if not _is_of(said, models, split):
            return None
        by_file = models[0][1].info.one_patient_per_file
        return leak_words.verdict(said["shared"], by_file=by_file)
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        logging.warning(
            "%s is damaged (%r) and left aside; --mode=audit writes it.", path, error
        )
        return None


def remedy(models: Models, split: str, workdir: str | pathlib.Path) -> str:
    """What looks for copies of pictures where nobody did."""
    command = "python main.py --mode=audit"
    if not _are_of_one_set(models):
        return "--mode=audit compares splits of one data set alone."
    if _can_be_looked_for(models, split):
        return (
            f"{command} --workdir={shlex.quote(str(workdir))} looks for them; "
            "--mode=evaluate then says here what it found."
        )
    return (
        f"{command} --config=<its config> --config.data.test={split} "
        "--outputs=<folder> looks for them, of what the config trains on."
    )


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


def _can_be_looked_for(models: Models, split: str) -> bool:
    """Whether an audit of these models' own splits is of all that matters.

    It is not where another split or data set is scored, nor where weights have also seen
    others than the config trains on: of an earlier run, or of others of an ensemble.
    """
    if not _are_of_one_set(models):
        return False
    if split == out_of_fold.SPLIT:
        return True
    about = models[0][0].about
    options = about.config["data"]
    named = options["train"].split("+")
    own = {name for name, fold in about.info.folds.items() if f"fold_{fold}" in named}
    seen_others = own and not {*about.trained_patients} <= own
    return split in [options[role] for role in ROLES] and not seen_others


def _are_of_one_set(models: Models) -> bool:
    """Whether all that was scored and trained on is of the data set of the config."""
    return all(
        source.info.name == record.about.config["data"]["name"]
        and {*record.about.trained_patients} <= {*record.about.info.folds}
        for record, source in models
    )


def _is_of(said: Mapping[str, Any], models: Models, split: str) -> bool:
    """Whether an audit is of the splits of these models, in this version of the data."""
    source, abouts = models[0][1], [record.about for record, _ in models]
    roles = roles_of(abouts, by_fold=split == out_of_fold.SPLIT)
    return (
        said["data_set"] == source.info.name
        and said["version"] == source.info.version
        and said["splits"] == roles
    )
