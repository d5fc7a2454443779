"""Pictures in a folder for each class."""

import pathlib
from collections import Counter
from collections.abc import Sequence

from absl import logging

from datasets import raw
from datasets.folder.parts import (
    NOT_READ,
    Example,
    Found,
    Meaning,
    is_picture,
    is_unread,
    is_volume,
    natural,
    stem,
)
from datasets.folder.settings import KEY, Settings

VOLUME = "is a volume, and classes are of pictures: export its slices"


def meaning(settings: Settings, names: Sequence[str]) -> Meaning:
    """The classes that are declared, or else all folders that pictures lie in.

    Raises:
        BadFile: if there is but one class, or no folder for one that is declared.
    """
    there = Counter(
        folder
        for name in names
        if (is_picture(name) or is_unread(name))
        and (folder := class_of(name, settings.labels)) is not None
    )
    labels = tuple(settings.labels) or tuple(sorted(there, key=natural))
    if names and (absent := [label for label in labels if label not in there]):
        others = {p.parent.name for p in map(pathlib.PurePosixPath, names)} - {""}
        raise raw.BadFile(
            f"There are no pictures in a folder {absent[0]}, one of {KEY}.labels; there "
            f"are folders {', '.join(sorted(others)) or '(none)'}."
        )
    if len(labels) < 2:
        raise raw.BadFile(
            f"There is one class, {labels[0]!r}: a classifier needs two, each with a "
            f"folder of pictures named after it. Is the layout {settings.layout!r} meant "
            f"({KEY}.layout), and is --config.data.raw_dir the folder around them?"
            if labels
            else "No picture lies in a folder that is named after a class."
        )
    return Meaning(tuple(settings.channels), {}, labels, {}, [])


def find(names: Sequence[str], settings: Settings, labels: Sequence[str]) -> Found:
    """All pictures in folders of these classes."""
    examples: dict[str, Example] = {}
    bad = [
        {"file": name, "reason": VOLUME if is_volume(name) else NOT_READ}
        for name in names
        if (is_unread(name) or is_volume(name))
        and class_of(name, settings.labels) is not None
    ]
    left_out: Counter[str] = Counter()
    for name in sorted(filter(is_picture, names), key=natural):
        key, folder = stem(name), class_of(name, settings.labels)
        if folder is None and settings.labels:
            left_out[str(pathlib.PurePosixPath(name).parent)] += 1
        elif folder is None:
            bad.append({"file": name, "reason": "lies in no folder of a class"})
        elif key in examples:
            reason = f"has the name of {examples[key].images[0]}, too"
            bad.append({"file": name, "reason": reason})
        else:
            examples[key] = Example(key, (name,), label=labels.index(folder))
    for folder, count in left_out.items():
        logging.info(
            "%d pictures in %s are left out: %s.labels does not name it.",
            count,
            folder,
            KEY,
        )
    return Found(list(examples.values()), bad)


def class_of(name: str, labels: Sequence[str]) -> str | None:
    """The folder that names a picture's class: the innermost, or of those declared."""
    folders = pathlib.PurePosixPath(name).parts[:-1]
    fitting = [folder for folder in folders if not labels or folder in labels]
    return fitting[-1] if fitting else None


def check_patients(
    examples: Sequence[Example], patients: dict[str, str], labels: Sequence[str]
) -> None:
    """Refuses a class of one patient, who could not be trained and tested on.

    Raises:
        BadFile: naming the class.
    """
    for place, name in enumerate(labels):
        own = [one for one in examples if one.label == place]
        if len({patients[one.key] for one in own}) < 2:
            files = "1 file" if len(own) == 1 else f"{len(own)} files"
            raise raw.BadFile(
                f"The class {name} has {files} of one patient, who cannot be both trained "
                f"and tested on. Add pictures, or leave it out: {KEY}.labels names the "
                "others (--config.data.skip_bad_files=True does not help here)."
            )
