"""The folder that a data set is built in: made, cleared of leftovers, for one process."""

import contextlib
import fcntl
import pathlib
import shutil
from collections.abc import Iterator

from absl import logging


def make_folder(folder: pathlib.Path, data_dir: pathlib.Path) -> None:
    """Makes a folder somewhere in `data_dir`; an OSError names the key that says where."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"config.data.data_dir={data_dir} cannot hold data sets: {error.strerror}, "
            f"{error.filename}. Give a folder that can be written, or a new one, with "
            "--config.data.data_dir=..."
        ) from error


def remove_leftovers(folder: pathlib.Path) -> None:
    """Deletes what killed builds left; needs the lock, or it would delete a live one."""
    for leftover in folder.glob("incomplete.*"):
        logging.info("Removing %s, left by a build that was stopped.", leftover)
        shutil.rmtree(leftover)


def checked_folder(folder: pathlib.Path) -> pathlib.Path:
    """Where a builder may keep what it found of raw files until all is prepared."""
    return folder / ".checked"


@contextlib.contextmanager
def lock(path: pathlib.Path) -> Iterator[None]:
    """One process at a time; the system frees the lock of a process that dies."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Another process is preparing {path.parent}; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
