"""Downloads a publisher's files: resumed where they broke off, checked, whole or not.

A file grows under its name with .part, and gets its name once size and MD5 are right.
"""

import contextlib
import hashlib
import http.client
import pathlib
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import NamedTuple

from rich import progress

from datasets import space

BLOCK = 2**18  # bytes read at a time
TIMEOUT = 60.0  # seconds without a byte
PAUSES = (1.0, 5.0, 15.0)  # seconds before further attempts that bring nothing new
AGENT = "brainseg_jax (a downloader of public data sets)"
BROKEN = (OSError, http.client.HTTPException)  # urllib's own errors are OSErrors, too
NO_SUCH_RANGE = 416  # what is in the .part is none of this file
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may be others later


class File(NamedTuple):
    """A file to fetch; size in bytes."""

    name: str
    url: str
    size: int
    md5: str


class DownloadFailed(OSError):
    """A file could not be fetched; names it, what there is of it and what to do."""


def download(files: Sequence[File], folder: pathlib.Path) -> pathlib.Path:
    """Fetches what is missing of `files` into `folder`, and returns that.

    Given again after a failure, it goes on where it broke off.

    Raises:
        NoSpace: if the disk is too full, before or meanwhile.
        DownloadFailed: if a file cannot be fetched, or is another than the published.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not (folder / file.name).is_file()]
    rest = sum(file.size - _bytes_of(_part(folder, file)) for file in missing)
    space.require_space(folder, max(0, rest), "downloading needs")
    with _bar() as bar, space.full_disks_named(folder):
        for file in missing:
            _fetch(file, folder, bar)
            _check(file, folder)
    return folder


def _bar() -> progress.Progress:
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )


def _fetch(file: File, folder: pathlib.Path, bar: progress.Progress) -> None:
    """All bytes of a file into its .part, in as many attempts as bring something new."""
    part = _part(folder, file)
    task = bar.add_task(f"Downloading {file.name}", total=file.size)
    most, pauses = _bytes_of(part), list(PAUSES)
    while _bytes_of(part) < file.size:
        try:
            _attempt(file, part, bar, task)
        except _Broken as reason:
            if _bytes_of(part) > most:
                most, pauses = _bytes_of(part), list(PAUSES)
            elif not pauses:
                raise _failed(file, part, str(reason)) from reason
            time.sleep(pauses.pop(0))


def _attempt(
    file: File, part: pathlib.Path, bar: progress.Progress, task: progress.TaskID
) -> None:
    """Adds to the .part what the server gives; _Broken if that is not all.

    Raises:
        DownloadFailed: for an answer that will be the same the next time.
    """
    start = _bytes_of(part)
    with contextlib.closing(_open(file, part, start)) as answer:
        _check_answer(answer, file, part)
        resumed = answer.status == 206
        with part.open("ab" if resumed else "wb") as out:
            bar.update(task, completed=out.tell())
            while out.tell() <= file.size and (block := _read(answer)):
                out.write(block)
                bar.advance(task, len(block))
    if _bytes_of(part) < file.size:
        raise _Broken("the connection broke off")


def _check_answer(
    answer: http.client.HTTPResponse, file: File, part: pathlib.Path
) -> None:
    """Before a byte is written over: a server without ranges answers 200, from the first.

    Raises:
        DownloadFailed: for what is neither the rest of the file nor all of it.
    """
    size = answer.headers["Content-Length"]
    if answer.status not in (200, 206):
        said = f"the server answered {answer.status} {answer.reason}"
        raise _failed(file, part, said)
    if answer.status == 200 and _bytes_of(part) and size and int(size) != file.size:
        said = f"the server answered 200 with {answer.headers.get_content_type()} of"
        raise _failed(file, part, f"{said} {int(size):,} bytes")


class _Broken(Exception):
    """An attempt ended early, for a reason that may pass."""


def _open(file: File, part: pathlib.Path, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": AGENT}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(file.url, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        reason = f"the server answered {error.code} {error.reason}"
        if error.code == NO_SUCH_RANGE:
            part.unlink(missing_ok=True)
        elif error.code not in PASSING:
            raise _failed(file, part, reason) from error
        raise _Broken(reason) from error
    except BROKEN as error:
        raise _Broken(_words(error)) from error


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(BLOCK)
    except BROKEN as error:
        raise _Broken(_words(error)) from error


def _words(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)


def _check(file: File, folder: pathlib.Path) -> None:
    """Gives a file its name; one of another size or MD5 is deleted, and named."""
    part = _part(folder, file)
    wrong = ""
    if (size := _bytes_of(part)) != file.size:
        wrong = f"it has {size:,} bytes or more, not {file.size:,}"
    elif (found := _md5(part)) != file.md5:
        wrong = f"its MD5 is {found}, not {file.md5}"
    if wrong:
        part.unlink()
        raise DownloadFailed(
            f"{file.name} from {file.url} is not the file that was published: {wrong}. "
            "It is deleted, so the same command fetches it anew. If that ends here again, "
            "fetch it in another way and pass its folder as --config.data.raw_dir."
        )
    part.rename(folder / file.name)


def _md5(path: pathlib.Path) -> str:
    with path.open("rb") as data:
        return hashlib.file_digest(data, "md5").hexdigest()


def _failed(file: File, part: pathlib.Path, reason: str) -> DownloadFailed:
    return DownloadFailed(
        f"{file.name} could not be fetched from {file.url}: {reason}. "
        f"{_bytes_of(part):,} of {file.size:,} bytes are in {part}; the same command goes "
        f"on from there. Or fetch it in another way and pass its folder as "
        "--config.data.raw_dir."
    )


def _part(folder: pathlib.Path, file: File) -> pathlib.Path:
    return folder / f"{file.name}.part"


def _bytes_of(path: pathlib.Path) -> int:
    return path.stat().st_size if path.is_file() else 0
