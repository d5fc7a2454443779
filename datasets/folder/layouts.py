"""Raw files by the layout that settings name: opened, described, sorted by name alone."""

import pathlib

from datasets import archives, raw
from datasets.folder import class_folders, nnunet, pairs
from datasets.folder.parts import Found, Meaning, is_picture, is_volume
from datasets.folder.settings import Settings

HOW_TO_GIVE = "Pass the folder of your pictures, or a zip, as --config.data.raw_dir=..."


def open_files(raw_dir: str) -> archives.Files:
    """The raw files, not yet read; MissingRawData if there are none."""
    if not raw_dir:
        raise raw.MissingRawData(
            f"A data set of your own needs raw data. {HOW_TO_GIVE}"
        )
    path = pathlib.Path(raw_dir).expanduser()
    if not path.exists():
        raise raw.MissingRawData(f"There is no {path}. {HOW_TO_GIVE}")
    files = archives.Files(path, archives.LARGEST_ZIP)  # volumes are large
    if any(is_picture(name) or is_volume(name) for name in files.names):
        return files
    raise raw.MissingRawData(
        f"{path} holds no pictures: PNG, TIFF, JPEG and NIfTI are read. {HOW_TO_GIVE}"
    )


def foretell(settings: Settings, raw_dir: str) -> Meaning:
    """Before anything is prepared; raw files are looked at where they have to be."""
    declared = settings.layout == "classes" and settings.labels and not raw_dir
    if declared or settings.layout == "pairs":
        return meaning(settings, None)
    return meaning(settings, open_files(raw_dir))


def dimensions(settings: Settings, raw_dir: str) -> int:
    """Spatial axes of the examples: 3 of volumes; 2 where there is nothing to tell by."""
    path = pathlib.Path(raw_dir).expanduser()
    if settings.layout == "classes" or not raw_dir or not path.exists():
        return 2
    found = find(settings, open_files(raw_dir)).examples
    return 3 if any(is_volume(one.images[0]) for one in found) else 2


def meaning(settings: Settings, files: archives.Files | None) -> Meaning:
    """What channels, masks and folders stand for; without files, as far as settings say."""
    if settings.layout == "pairs":
        return pairs.meaning(settings)
    if settings.layout == "classes":
        return class_folders.meaning(settings, files.names if files else ())
    assert files is not None  # only dataset.json knows
    return nnunet.Described(files).meaning


def find(settings: Settings, files: archives.Files) -> Found:
    """All examples, and the files that fit none.

    Raises:
        MissingRawData: if there are neither.
        BadFile: if classes or cases are not what is said of them.
    """
    if settings.layout == "pairs":
        found = pairs.find(files.names, settings)
    elif settings.layout == "classes":
        labels = meaning(settings, files).labels
        found = class_folders.find(files.names, settings, labels)
    else:
        found = nnunet.find(files.names, nnunet.Described(files))
    if not found.examples and not found.bad:
        raise raw.MissingRawData(_no_pairs(settings, files.path))
    kinds = {is_volume(one.images[0]): one.images[0] for one in found.examples}
    if len(kinds) > 1:
        raise raw.BadFile(
            f"{kinds[True]} is a volume and {kinds[False]} a picture: make two data sets "
            "of them (--config.data.skip_bad_files=True does not help here)."
        )
    return found


def source(raw_dir: str) -> str:
    """Where raw files lie, to know them again by."""
    return str(pathlib.Path(raw_dir).expanduser().absolute())


def _no_pairs(settings: Settings, path: pathlib.Path) -> str:
    return (
        f"{path} holds no images in the folder {settings.images or '.'} and no masks in "
        f"{settings.masks or '.'}: name both, relative to it, with "
        "--config.data.folder.images and .masks."
    )
