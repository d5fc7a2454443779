"""Free disk space: asked for before something large is written."""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Iterator

FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or what a user may fill of it
SPARE = 64 * 2**20  # bytes left free beyond what is written


class NoSpace(OSError):
    """The disk is too full; says how much is needed and how much there is."""


def require_space(
    folder: pathlib.Path, needed: int, what: str = "preparing needs"
) -> None:
    """Raises NoSpace before anything is written, unless `needed` bytes are free."""
    available = shutil.disk_usage(folder).free
    if available < needed + SPARE:
        raise NoSpace(
            f"{folder} has {available:,} bytes free; {what} "
            f"{needed + SPARE:,}. Free some, or choose another --config.data.data_dir."
        )


@contextlib.contextmanager
def full_disks_named(folder: pathlib.Path) -> Iterator[None]:
    """Turns the system's error over a disk that fills up meanwhile into NoSpace.

    ArrayRecord says it in the text of a RuntimeError.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        reasons = map(os.strerror, FULL)
        known = getattr(error, "errno", None) in FULL
        said = next((reason for reason in reasons if reason in str(error)), "")
        if not known and not (said and isinstance(error, RuntimeError)):
            raise
        raise NoSpace(
            f"The disk of {folder} became full ({said or error}). Free some "
            "space, or choose another --config.data.data_dir, and give the command again."
        ) from error
