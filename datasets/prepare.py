"""Builds a data set once: `prepare("lgg_mri/kaggle", data_dir, raw_dir)`.

A data set is a package here: <name>/<name>_dataset_builder.py with a TFDS `Builder` that
takes raw_dir and skip_bad_files and has bytes_needed(). Its `phantom` configuration is
built from synthetic raw files, which `write_<name's first word>` of phantom.py makes. Where
it has DOWNLOADS, what everybody may download, the others need no raw_dir either. One of
volumes has OF_VOLUMES, what else is to be known of them before they are prepared. One whose
data sets are named and described by their owners has OWN_NAMES, what they may be called; it
takes `settings`, and says by `foretell` and `differences` what these mean.
"""

import importlib
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import tensorflow_datasets as tfds

from datasets import bad_files, building, download, prepared
from datasets.raw import BadFile, MissingRawData
from datasets.space import NoSpace, full_disks_named, require_space
from datasets.synthetic import phantom, pictures

__all__ = ["BadFile", "MissingRawData", "NoSpace", "describe", "prepare"]

HERE = pathlib.Path(__file__).parent


def prepare(
    name: str,
    data_dir: str | os.PathLike,
    raw_dir: str | os.PathLike = "",
    *,
    skip_bad_files: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """The folder of the prepared data set, built first if need be.

    Args:
        name: data set and configuration, such as lgg_mri/kaggle.
        raw_dir: the publisher's files; not needed for a phantom, for what can be
            downloaded, or once prepared.
        settings: what a data set of one's own is like: a config's data.folder.

    Raises:
        ValueError: if there is no such data set, or a prepared one is damaged or was
            prepared by other settings.
        MissingRawData, BadFile: if the raw files are not there, or unusable.
        NoSpace: if the disk is too full.
        DownloadFailed: if raw files are to be downloaded and cannot be.
        FileNotFoundError: if a prepared data set has lost files.
        OSError: if data_dir cannot hold data sets.
    """
    module, variant = find_builder(name)
    data_dir = pathlib.Path(data_dir).expanduser().absolute()
    data_set = name.split("/")[0]
    folder = data_dir / data_set / variant / str(module.Builder.VERSION)
    own = {"settings": settings} if hasattr(module.Builder, "OWN_NAMES") else {}
    if folder.exists():
        prepared.require_same(module.Builder, folder, raw_dir, **own)
        return report_existing(folder)
    building.make_folder(folder.parent, data_dir)
    with building.lock(folder.parent / ".lock"):
        if folder.exists():
            prepared.require_same(module.Builder, folder, raw_dir, **own)
            return report_existing(folder)
        building.remove_leftovers(folder.parent)
        raw_dir = raw_dir or get_raw_files(module.Builder, data_set, variant, data_dir)
        builder = module.Builder(
            config=variant,
            data_dir=data_dir,
            file_format="array_record",  # the default needs TensorFlow
            raw_dir=str(raw_dir),
            skip_bad_files=skip_bad_files,
            **own,
        )
        require_space(data_dir, builder.bytes_needed())
        tfds.disable_progress_bar()  # the builder shows its own
        table = data_dir / f"{data_set}_{variant}_bad_files.csv"
        with full_disks_named(data_dir), bad_files.listed(table):
            builder.download_and_prepare()
        shutil.rmtree(building.checked_folder(folder.parent), ignore_errors=True)
    print(prepared.summary(folder))
    return folder


def find_builder(name: str) -> tuple[Any, str]:
    """The builder module and configuration of a data set; ValueError if there is none."""
    known = sorted(
        file.parent.name
        for file in HERE.glob("*/*_dataset_builder.py")
        if file.name == f"{file.parent.name}_dataset_builder.py"
    )
    data_set, _, variant = name.partition("/")
    if data_set not in known:
        raise ValueError(f"No data set {data_set!r}; there are: {', '.join(known)}.")
    module = importlib.import_module(f"datasets.{data_set}.{data_set}_dataset_builder")
    variants = [config.name for config in module.Builder.BUILDER_CONFIGS]
    own = getattr(module.Builder, "OWN_NAMES", None)
    if variant not in variants and not (own and own.fullmatch(variant)):
        listed = ", ".join(f"{data_set}/{one}" for one in variants)
        more = f", and {data_set}/ with a name of yours, of a-z, 0-9, _ and -"
        raise ValueError(
            f"No data set {name!r}; there are: {listed}{own and more or ''}."
        )
    return module, variant


def describe(
    name: str,
    data_dir: str | os.PathLike = "",
    raw_dir: str | os.PathLike = "",
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a builder says of its data set before it is prepared.

    Raises:
        ValueError, MissingRawData, BadFile: if a data set of one's own cannot be what its
            settings say.
    """
    module, variant = find_builder(name)
    builder = module.Builder
    if hasattr(builder, "OWN_NAMES"):
        folder = pathlib.Path(data_dir).expanduser() / name / str(builder.VERSION)
        if folder.exists():
            return {"name": name, **prepared.describe(folder)}
        return {"name": name, **builder.foretell(settings, str(raw_dir))}
    told = {
        "name": name,
        "channels": builder.CHANNELS,
        "classes": builder.CLASSES,
        "labels": builder.LABELS,
    }
    return told | getattr(builder, "OF_VOLUMES", {})


def get_raw_files(
    builder: Any, data_set: str, variant: str, data_dir: pathlib.Path
) -> str | pathlib.Path:
    """The folder of raw files, made or downloaded first; "" if neither can be."""
    if variant.startswith("phantom"):
        return write_phantom(data_set, variant, data_dir)
    if not hasattr(builder, "DOWNLOADS"):
        return ""
    folder = data_dir / "raw" / f"{data_set}_{variant}"
    building.make_folder(folder, data_dir)
    download.download(builder.DOWNLOADS, folder)
    print(f"The publisher's files are in {folder}; once prepared, it may be deleted.")
    return folder


def write_phantom(data_set: str, variant: str, data_dir: pathlib.Path) -> pathlib.Path:
    """Synthetic raw files under data_dir/raw, whole or not at all."""
    folder = data_dir / "raw" / f"{data_set}_{variant}"
    if folder.exists():
        return folder
    partial = folder.with_name(f"incomplete.{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    layout = variant.removeprefix("phantom").lstrip("_")
    writers, word = (pictures, layout) if layout else (phantom, data_set.split("_")[0])
    require_space(data_dir, 2 * writers.BYTES[word])  # raw files and data set
    with full_disks_named(data_dir):
        getattr(writers, f"write_{word}")(partial)
    partial.rename(folder)
    return folder


def report_existing(folder: pathlib.Path) -> pathlib.Path:
    """Prints what is there.

    Raises:
        FileNotFoundError: if some of its files are gone.
        ValueError: if what describes it is damaged.
    """
    missing = prepared.missing_files(folder)
    if missing:
        raise FileNotFoundError(
            f"{folder} is not a whole data set: it lacks {', '.join(missing)}. "
            "Delete the folder and prepare again."
        )
    try:
        found = prepared.summary(folder)
    except KeyError as error:
        raise prepared.damaged(folder / "metadata.json", f"it lacks {error}") from error
    print(f"Already prepared; to build it anew, delete {folder}\n{found}")
    return folder
