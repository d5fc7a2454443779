"""Damaged files of a prepared data set: which one it is, and what to do about it."""

import contextlib
import json
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterator

from google.protobuf import json_format

# What readers of JSON, of .npz and of records were seen to raise over damaged bytes.
DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, EOFError, FileNotFoundError, json_format.ParseError),
    *(struct.error, zlib.error, zipfile.BadZipFile),
)


@contextlib.contextmanager
def named(path: str | pathlib.Path) -> Iterator[None]:
    """What reading a damaged file raises becomes a ValueError that names it.

    `path` may also be the folder of a data set, where it is not known which file it is.
    """
    try:
        yield
    except DAMAGE as error:
        raise sentence(path, error) from error


def sentence(path: str | pathlib.Path, error: Exception) -> ValueError:
    """What is said of a damaged file over which `error` was raised."""
    path = pathlib.Path(path)
    folder = path if path.is_dir() else path.parent
    return ValueError(
        f"{path} is damaged: {_reason(error)}. Delete the folder {folder} and prepare "
        "the data set again with `python main.py --mode=prepare --config=...`."
    )


def require_json(path: pathlib.Path) -> None:
    """ValueError unless a file holds JSON that says anything."""
    with named(path):
        if not json.loads(path.read_text()):
            raise ValueError("it says nothing")


def _reason(error: Exception) -> str:
    """An error in a few words; libraries add lines of details."""
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
