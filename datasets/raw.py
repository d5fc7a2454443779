"""Raw files as a publisher ships them, in a folder or a zip, and errors about them."""

import functools
import pathlib
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")
KEPT_IN_MESSAGE = 10


class MissingRawData(FileNotFoundError):
    """There are no raw files; says where to get them and how to pass them."""


class BadFile(ValueError):
    """Raw files that cannot be used; names them, what is wrong and what to do.

    `files` are all of several, each with its reason, of which a message has the first.
    """

    def __init__(self, message: str, files: Sequence[dict[str, str]] = ()):
        super().__init__(message)
        self.files = files


def bad_files(
    skipped: Sequence[dict[str, str]],
    remedy: str = "Download or unpack the data again",
    what: str = "slices",
    *,
    any_left: bool = True,
) -> BadFile:
    """One error for all faults: the first files by name, the others by their reasons.

    `any_left`: whether there would be something to leave them out of.
    """
    lines = [f"  {bad['file']}: {bad['reason']}" for bad in skipped[:KEPT_IN_MESSAGE]]
    if more := skipped[KEPT_IN_MESSAGE:]:
        lines.append(f"  ... and {len(more)} more:")
        reasons = Counter(bad["reason"] for bad in more).most_common()
        lines += [f"    {n} x {reason}" for reason, n in reasons[:KEPT_IN_MESSAGE]]
        if len(reasons) > KEPT_IN_MESSAGE:
            lines.append("    and others")
    count = "1 raw file" if len(skipped) == 1 else f"{len(skipped)} raw files"
    way_out = f", or leave these {what} out with --config.data.skip_bad_files=True"
    if not any_left:
        way_out = f": there are no {what} but these"
    return BadFile(
        f"{count} cannot be used:\n" + "\n".join(lines) + f"\n{remedy}{way_out}.",
        skipped,
    )


class Fault(ValueError):
    """What is wrong with one of several files that belong together."""

    def __init__(self, file: str, reason: str):
        super().__init__(f"{file} {reason}")
        self.file, self.reason = file, reason


def of(file: str, function: Callable[..., Result], *arguments: Any) -> Result:
    """function(*arguments), a ValueError of which becomes the file's Fault."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise Fault(file, str(error)) from error


class Folder:
    """The files below a folder, under names relative to it, with forward slashes."""

    def __init__(self, path: pathlib.Path):
        self.path = path

    @functools.cached_property
    def names(self) -> list[str]:
        files = (file for file in self.path.rglob("*") if file.is_file())
        return sorted(file.relative_to(self.path).as_posix() for file in files)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()


class Zip:
    """The files of a zip, read in place; a name packed twice is listed twice."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.archive = zipfile.ZipFile(path)

    @functools.cached_property
    def names(self) -> list[str]:
        return sorted(
            info.filename for info in self.archive.infolist() if not info.is_dir()
        )

    def read(self, name: str) -> bytes:
        return self.archive.read(name)


def open_raw(path: pathlib.Path) -> Folder | Zip:
    """The raw files at a path, a folder or a zip; BadFile if it is neither."""
    if path.is_dir():
        return Folder(path)
    if not zipfile.is_zipfile(path):
        raise not_a_zip(path)
    return Zip(path)


def not_a_zip(path: pathlib.Path) -> BadFile:
    """What is said of raw_dir where it is neither a folder nor a zip."""
    return BadFile(
        f"{path} is neither a folder nor a readable zip; if it is a download, it "
        "may have been cut short: fetch it again."
    )
