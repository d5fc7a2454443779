"""A table of all raw files that cannot be used, where an error names the first alone."""

import contextlib
import csv
import io
import os
import pathlib
from collections.abc import Iterator, Sequence

from datasets import raw


@contextlib.contextmanager
def listed(table: pathlib.Path) -> Iterator[None]:
    """Writes the files of a BadFile to a CSV if they are more than its message names.

    The table of an earlier attempt is deleted, so that it is not taken for this one's.
    """
    table.unlink(missing_ok=True)
    try:
        yield
    except raw.BadFile as error:
        if len(error.files) <= raw.KEPT_IN_MESSAGE:
            raise
        said = _write(table, error.files)
        raise raw.BadFile(f"{error}\n{said}", error.files) from error


def _write(table: pathlib.Path, files: Sequence[dict[str, str]]) -> str:
    """The whole table or none of it; says where it is, or why there is none."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ("file", "reason"))
    writer.writeheader()
    writer.writerows(files)
    partial = table.with_name(f".{table.name}.{os.getpid()}.partial")
    try:
        # Names that are no UTF-8 come back as the bytes that they are.
        partial.write_bytes(text.getvalue().encode(errors="surrogateescape"))
        partial.replace(table)
    except OSError as error:
        return f"The table of them all could not be written: {error}."
    finally:
        partial.unlink(missing_ok=True)
    return f"All of them, each with its reason: {table}"
