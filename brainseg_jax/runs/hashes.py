"""SHA-256 of what a report was made by: code, config, data and weights."""

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from brainseg_jax.data import index as data_index
from brainseg_jax.data import info as data_info

PACKAGE = pathlib.Path(__file__).parent.parent


def of_code(folder: pathlib.Path = PACKAGE) -> str:
    """Of every Python file of the package and its place, with or without git."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def of_config(config: Mapping[str, Any]) -> str:
    """Of all keys, in whatever order."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def of_data(name: str, data_dir: str | pathlib.Path) -> str:
    """Of the prepared set's index.npz, as sha256sum gives it.

    The index has each example's key, patient, split and label, and statistics of the
    intensities of each volume.
    """
    folder = pathlib.Path(data_info.open_builder(name, data_dir).data_dir)
    return hashlib.sha256((folder / data_index.FILE).read_bytes()).hexdigest()


def of_weights(variables: Any) -> str:
    """Of the numbers that one or several models were scored with, in order of names."""
    digest = hashlib.sha256()
    for weights in jax.tree.leaves(variables):
        digest.update(np.asarray(weights).tobytes())
    return digest.hexdigest()
