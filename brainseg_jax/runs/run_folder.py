"""The folder of a run: one writer at a time, and a note of what it ran with."""

import contextlib
import fcntl
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import jax

PACKAGES = (
    "brainseg_jax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "tensorflow-datasets",
    "grain",
)


def check_writable(folder: pathlib.Path, flag: str) -> None:
    """Refuses a folder, given by `flag`, in which no file could be made; makes none.

    Raises:
        OSError: naming the folder and why it cannot be written.
    """
    parents = (folder, *folder.absolute().parents)
    nearest = next(path for path in parents if os.path.lexists(path))
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise OSError(
            f"{flag}={folder} cannot be written: {error.strerror} ({nearest}). Name "
            "another folder."
        ) from error


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
    """Holds the folder for this process; the system lets go when the process ends.

    Raises:
        RuntimeError: if another process holds the folder; says which.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with open(workdir / ".lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RuntimeError(
                f"{workdir} is being written by process {file.read().strip()}; wait for "
                "it to end, or give another --workdir."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def environment() -> dict[str, Any]:
    """Versions, devices and commit: what a run needs to be understood without the code."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": [
            f"{device.platform}: {device.device_kind}" for device in jax.devices()
        ],
        "commit": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of this code, with "+changes" where files differ; None outside of git."""
    folder = pathlib.Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+changes"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
