"""Writes files whole or not at all: text, JSON, CSV."""

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_atomically(path: str | Path, content: bytes) -> Path:
    """Writes the whole file or none of it; makes the folders above it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Strict JSON: nan and infinity become null."""
    text = json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"
    return write_atomically(path, text.encode())


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as a table; columns are all keys, in the order in which they first come."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in rows for key in row))
    )
    writer.writeheader()
    writer.writerows(rows)
    return write_atomically(path, text.getvalue().encode())


def _plain(value: Any) -> Any:
    """A value as JSON has it: no tuples, no NumPy, no nan."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, str) or value is None:
        return value
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
