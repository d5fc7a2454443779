"""Raw files of a publisher that packs a tar: read in place, by several threads at once."""

import os
import pathlib
import tarfile

from datasets import raw


class Tar:
    """The files of an uncompressed tar; a name packed twice is listed twice.

    Raises:
        BadFile: for a compressed tar, or one that is damaged.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}  # where bytes begin, how many
        self.names: list[str] = []
        try:
            with tarfile.open(path, "r:") as archive:
                self._list(archive)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise raw.BadFile(
                f"{path} cannot be read as a tar ({error}): fetch it again if it was cut "
                "short; unpack it if it is compressed, and pass the folder as "
                "--config.data.raw_dir."
            ) from error
        self.names.sort()

    def _list(self, archive: tarfile.TarFile) -> None:
        whole = self.path.stat().st_size
        for member in archive:
            if not member.isfile() or pathlib.PurePosixPath(member.name).name[0] == ".":
                continue
            if member.offset_data + member.size > whole:
                raise ValueError(f"it ends within {member.name}")
            name = member.name.removeprefix("./")
            self.names.append(name)
            self._places[name] = member.offset_data, member.size

    def read(self, name: str) -> bytes:
        """A file's bytes; ValueError says why it cannot be read."""
        start, size = self._places[name]
        try:
            with self.path.open("rb") as file:
                data = os.pread(file.fileno(), size, start)
        except OSError as error:
            raise ValueError(f"cannot be read ({error.strerror})") from error
        if len(data) < size:
            raise ValueError(f"is cut short: {self.path} ends within it")
        return data


def is_tar(path: pathlib.Path) -> bool:
    """Whether a path is to be read as a tar, by its name."""
    return path.is_file() and any(one in (".tar", ".tgz") for one in path.suffixes)
