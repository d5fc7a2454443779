"""Files that are there whole or not at all."""

import csv
import io
import json
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
    text = json.dumps(value, indent=2, default=_plain) + "\n"
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
    """NumPy scalars and arrays, and other sequences, as JSON has them."""
    return value.tolist() if hasattr(value, "tolist") else list(value)
