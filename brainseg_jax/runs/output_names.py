"""What the files of each picture are called, so that no two of them collide."""

import collections
from collections.abc import Callable, Sequence
from pathlib import Path

Names = dict[Path, str]


def output_names(paths: Sequence[Path]) -> Names:
    """A name per file: its stem, and where stems repeat what tells them apart.

    Within a folder that is the ending (`a_png` and `a_tif` of `a.png` and `a.tif`), between
    folders the last two before it, then the ending of those that still repeat.

    Raises:
        ValueError: if two names are the same all the same.
    """
    stems = collections.Counter((path.parent, path.stem) for path in paths)
    names = {
        path: path.stem
        if stems[path.parent, path.stem] == 1
        else _with_ending(path, path.stem)
        for path in paths
    }
    for tell in (_with_folders, _with_ending):
        names = _told_apart(names, tell)
    _refuse_twins(names)
    return names


def _told_apart(names: Names, tell: Callable[[Path, str], str]) -> Names:
    """Names that repeat with more in them."""
    count = collections.Counter(names.values())
    return {
        path: name if count[name] == 1 else tell(path, name)
        for path, name in names.items()
    }


def _with_ending(path: Path, name: str) -> str:
    """DICOM files may have none."""
    return "_".join(filter(None, [name, path.suffix.removeprefix(".")]))


def _with_folders(path: Path, name: str) -> str:
    return "_".join([*path.parent.parts[-2:], name]).replace("/", "")


def _refuse_twins(names: Names) -> None:
    first: dict[str, Path] = {}
    for path, name in names.items():
        if name in first:
            raise ValueError(
                f"{first[name]} and {path} would be written under the same name, {name}. "
                "Predict them one at a time, each into --outputs of its own."
            )
        first[name] = path
