"""predictions.csv of scans, written after each case: a stopped command goes on from it.

A row says by a fingerprint what its mask was made of. Only a mask of the same weights,
settings and files is kept.
"""

import csv
import hashlib
import pathlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from brainseg_jax.data.modalities import Case
from brainseg_jax.runs.restore import Restored

FILE = "predictions.csv"
Row = dict[str, Any]


def fingerprint(restored: Restored, *settings: Any) -> str:
    """Of a model, and of what else decides how its masks come out."""
    about = restored.record.about
    digest = hashlib.sha256(repr((about.config, about.data, settings)).encode())
    for weights in jax.tree.leaves(restored.variables):
        digest.update(np.asarray(weights).tobytes())
    return digest.hexdigest()


def made_from(case: Case, model: str, masks: Sequence[pathlib.Path] = ()) -> str:
    """Of a case's files, as they are now, and a model by its fingerprint.

    `masks` are the true ones that it is compared with.
    """
    files_now = [
        (str(file.absolute()), found.st_size, found.st_mtime_ns)
        for given in (*case.files, *masks)
        for file in (sorted(given.iterdir()) if given.is_dir() else [given])
        for found in [file.stat()]
    ]
    return hashlib.sha256(repr((model, case, files_now)).encode()).hexdigest()[:16]


def read_done(outputs: pathlib.Path) -> dict[str, Row]:
    """Rows of masks that are there, by their fingerprints; none where nothing is."""
    try:
        text = (outputs / FILE).read_text(errors="replace")
    except FileNotFoundError:
        return {}
    rows = csv.DictReader(text.splitlines())
    return {
        row["made_from"]: {
            name: value for name, value in row.items() if name != "fault"
        }
        for row in rows
        if row.get("made_from") and (outputs / str(row["mask"])).is_file()
    }


def others(kept: Iterable[Row], names: Collection[str]) -> list[Row]:
    """Rows of an earlier command on other cases, whose masks none of `names` replaces."""
    return [row for row in kept if _name(row) not in names]


def tell_replaced(kept: Iterable[Row], files: dict[str, str]) -> None:
    """Warns of masks of other files that are about to be replaced, by their names."""
    for row in kept:
        new = files.get(_name(row), row["file"])
        if new != row["file"]:
            logging.warning(
                "%s: the prediction of %s, of an earlier command, is replaced. Give each "
                "folder an --outputs of its own to keep both.",
                new,
                row["file"],
            )


def _name(row: Row) -> str:
    """What the names of a case's files begin with."""
    return str(row["mask"]).rpartition("_mask.")[0]
