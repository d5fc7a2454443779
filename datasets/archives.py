"""Raw files of a publisher that packs zips in a zip: read in place, one file at a time.

Every name, size and depth is checked before anything is read, since a zip may say of
itself what it likes.
"""

import contextlib
import io
import os
import pathlib
import re
import shutil
import struct
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from datasets import raw

DEPTH = 2  # of zips within zips
LARGEST_FILE = 64 * 2**20  # bytes, unpacked
LARGEST_ZIP = 2**30
LOCAL_HEADER = struct.Struct(
    "<26xHH"
)  # of a member: lengths of its name and extra field
OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)")
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)


class Part(io.RawIOBase):
    """Bytes `start` to `start + size` of a file, as a file of its own."""

    def __init__(self, file: IO[bytes], start: int, size: int):
        self.file, self.start, self.size, self.place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}
        self.place = max(0, origin[whence] + offset)
        return self.place

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        self.file.seek(self.start + self.place)
        data = self.file.read(max(0, min(len(buffer), self.size - self.place)))
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)


class Files:
    """The files below a folder or in a zip, and in the zips among them.

    Names are relative, with forward slashes, and go on inside a zip: "parts/one.zip/1.mat".
    A name packed twice is listed twice; hidden files are not listed. `largest`: bytes that
    a file in a zip may unpack to.

    Raises:
        BadFile: for a zip that is damaged, nested too deep, or not to be trusted.
    """

    def __init__(self, path: pathlib.Path, largest: int = LARGEST_FILE):
        self.path, self.largest = path, largest
        self._zips: dict[str, zipfile.ZipFile] = {}  # by name; "" is `path` itself
        self._opened = contextlib.ExitStack()
        self._turn = threading.Lock()
        weakref.finalize(self, self._opened.close)
        self.names = self._list()

    def read(self, name: str) -> bytes:
        """A file's bytes; ValueError says why it cannot be read."""
        around = [
            zip_ for zip_ in self._zips if not zip_ or name.startswith(f"{zip_}/")
        ]
        try:
            if not around:
                return (self.path / name).read_bytes()
            innermost = max(around, key=len)
            with self._turn:  # a zip in a zip is read through the outer one's file
                return self._zips[innermost].read(name[len(innermost) :].lstrip("/"))
        except UNREADABLE as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"cannot be read ({reason})") from error

    def _list(self) -> list[str]:
        """Opens every zip on its way."""
        with self._sentences(str(self.path)):
            if self.path.is_dir():
                return sorted(self._of_folder())
            if not zipfile.is_zipfile(self.path):
                raise raw.not_a_zip(self.path)
            archive = zipfile.ZipFile(self.path)
        return sorted(self._of_zip("", archive))

    def _of_folder(self) -> Iterator[str]:
        for file in sorted(_files_below(self.path)):
            name = file.relative_to(self.path).as_posix()
            if _hidden(name) or not file.is_file():
                continue
            if file.suffix.lower() == ".zip":
                with self._sentences(name):
                    archive = zipfile.ZipFile(file)
                yield from self._of_zip(name, archive)
            else:
                yield name

    def _of_zip(
        self, name: str, archive: zipfile.ZipFile, depth: int = 1
    ) -> Iterator[str]:
        self._zips[name] = self._opened.enter_context(archive)
        shown = name or str(self.path)
        for member in archive.infolist():
            if member.is_dir() or _hidden(member.filename):
                continue
            is_zip = member.filename.lower().endswith(".zip")
            _check(member, shown, LARGEST_ZIP if is_zip else self.largest)
            within = f"{name}/{member.filename}".lstrip("/")
            if not is_zip:
                yield within
            elif depth < DEPTH:
                with self._sentences(within):
                    inner = self._open_within(archive, member)
                    archive_within = zipfile.ZipFile(inner)
                yield from self._of_zip(within, archive_within, depth + 1)
            else:
                raise raw.BadFile(
                    f"{within} is a zip in a zip in a zip: unpack {shown} and pass the "
                    "folder as --config.data.raw_dir."
                )

    def _open_within(
        self, archive: zipfile.ZipFile, member: zipfile.ZipInfo
    ) -> IO[bytes]:
        """A zip in a zip: in place where it is only stored, else in an unnamed file."""
        file = archive.fp
        assert file is not None  # it is open
        if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
            file.seek(member.header_offset)
            name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            start = member.header_offset + LOCAL_HEADER.size + name + extra
            return io.BufferedReader(Part(file, start, member.file_size))
        unpacked = self._opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, unpacked)
        return unpacked

    @contextlib.contextmanager
    def _sentences(self, name: str) -> Iterator[None]:
        """Says of what cannot be opened which file it is, and what to do."""
        try:
            yield
        except UNREADABLE as error:
            reason = getattr(error, "strerror", None) or error
            raise raw.BadFile(
                f"{name} cannot be opened ({reason}): fetch it again if it was cut short, "
                "and see that you may read it."
            ) from error


def _files_below(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """All files, of linked folders too; rglob would pass over what may not be read."""

    def refuse(error: OSError) -> None:
        raise raw.BadFile(
            f"{error.filename} cannot be opened ({error.strerror}): see that you may read "
            "it, and all folders in it."
        )

    seen: dict[str, str] = {}  # folders by where they really are
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not _hidden(name)]
        place = os.path.realpath(parent)
        if (before := seen.setdefault(place, parent)) != parent:
            raise raw.BadFile(
                f"{parent} and {before} are links to one folder: keep one of them."
            )
        yield from (pathlib.Path(parent, name) for name in names)


def _hidden(name: str) -> bool:
    """What systems add by themselves: .DS_Store, and __MACOSX of zips made on a Mac."""
    parts = pathlib.PurePosixPath(name).parts
    return "__MACOSX" in parts or any(re.match(r"\.[^./\\]", part) for part in parts)


def _check(member: zipfile.ZipInfo, archive: str, largest: int) -> None:
    """Raises BadFile for a member that lies outside its zip, or unpacks to too much."""
    if OUTSIDE.search(member.orig_filename):
        raise raw.BadFile(
            f"{archive} holds {member.orig_filename!r}, which would lie outside it: it is "
            "not the publisher's zip, so fetch that."
        )
    if member.file_size > largest:
        raise raw.BadFile(
            f"{archive} holds {member.filename}, which unpacks to {member.file_size:,} "
            f"bytes where {largest:,} are the most: if it is sound, unpack it and pass the "
            "folder as --config.data.raw_dir; if not, fetch it again."
        )
