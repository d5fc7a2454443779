"""Where patients were scanned, of data sets that say so."""

import pathlib
from collections.abc import Collection

from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info
from brainseg_jax.data import stored

FEATURE = "institution"


def read(
    name: str, data_dir: str | pathlib.Path, patients: Collection[str]
) -> dict[str, str]:
    """Patient -> institution, by the first example of each; {} where none is told.

    Raises:
        FileNotFoundError: if the data set is not prepared.
        ValueError: if a file of it is damaged.
    """
    builder = data_info.open_builder(name, data_dir)
    if FEATURE not in builder.info.features:
        return {}
    index = data_index.read_index(builder.data_dir)
    read_facts = stored.open_features(builder, (FEATURE,))
    first: dict[str, int] = {}
    for row, patient in enumerate(index.patients):
        if patient in patients:
            first.setdefault(patient, row)
    return {
        patient: read_facts(index.splits[row], index.records[row])[FEATURE].decode()
        for patient, row in first.items()
    }
