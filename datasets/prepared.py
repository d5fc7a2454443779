"""What lies prepared: whether it is whole, what it says of itself, by which settings."""

import json
import os
import pathlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import tensorflow_datasets as tfds
from google.protobuf import json_format

from datasets import index

DESCRIBED = ("dataset_info.json", "features.json", "metadata.json")


def missing_files(folder: pathlib.Path) -> list[str]:
    """Files that a finished build would have."""
    files = (*DESCRIBED, index.FILE)
    if absent := [name for name in files if not (folder / name).is_file()]:
        return absent
    splits = open_prepared(folder).info.splits.values()
    return [
        os.path.basename(file)
        for split in splits
        for file in split.filepaths
        if not os.path.isfile(file)
    ]


def open_prepared(folder: pathlib.Path) -> tfds.core.DatasetBuilder:
    """TFDS's builder of a prepared data set; ValueError names what is damaged of it."""
    for name in DESCRIBED:
        try:
            if not json.loads((folder / name).read_text()):
                raise ValueError("it says nothing")
        except ValueError as error:
            raise damaged(folder / name, str(error)) from error
    try:
        return tfds.builder_from_directory(folder)
    except (ValueError, json_format.ParseError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise damaged(folder / DESCRIBED[0], reason) from error


def describe(folder: pathlib.Path) -> dict[str, Any]:
    """What a prepared data set says of its channels and classes."""
    info = open_prepared(folder).info
    features: Any = info.features
    said = {name: info.metadata[name] for name in ("channels", "classes", "painting")}
    axes = len(features["image"].shape) - 1
    return {**said, "labels": features["label"].names, "dimensions": axes}


def require_same(
    builder: Any,
    folder: pathlib.Path,
    raw_dir: str | os.PathLike,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Refuses a data set of one's own that was prepared by other settings.

    Raises:
        ValueError: says which, and what to do.
    """
    if settings is None or DESCRIBED[-1] in missing_files(folder):
        return
    metadata = open_prepared(folder).info.metadata
    if found := builder.differences(settings, str(raw_dir), metadata):
        raise ValueError(
            f"{folder} was prepared otherwise: {'; '.join(found)}. Set what it was "
            "prepared with (config.data.raw_dir may be left empty), delete the folder to "
            "prepare it anew, or give the other data set a name of its own, "
            "--config.data.name=folder/<name>."
        )


def summary(folder: pathlib.Path) -> str:
    """What a prepared data set holds, for a person to read."""
    info = open_prepared(folder).info
    metadata = info.metadata
    patients = Counter(f"fold_{fold}" for fold in metadata["folds"].values())
    kind = "volumes" if "volumes" in metadata else "slices"
    lines = [
        f"{info.full_name} in {folder}",
        f"  {_count(metadata['patients'], 'patients')}, {_count(metadata[kind], kind)}, "
        + contents(metadata),
        *(
            f"  {name}: {_count(patients[name], 'patients')}, "
            f"{_count(split.num_examples, kind)}"
            for name, split in info.splits.items()
        ),
    ]
    if len(info.splits) < 5:
        lines.append(
            "  Fewer folds than usual, for want of patients: name those there are with "
            "--config.data.train, .validation and .test."
        )
    if skipped := metadata["skipped"]:
        lines.append(
            f"  {len(skipped)} bad files skipped (all are in metadata.json), such as:"
        )
        lines += [f"    {bad['file']}: {bad['reason']}" for bad in skipped[:3]]
    if metadata.get("one_patient_per_file"):
        lines.append(
            "  ONE PATIENT PER FILE, as is said of it: nothing shows that it is."
        )
    if metadata.get("one_slice_per_patient"):
        lines.append(
            "  EACH PATIENT HAS ONE SLICE: see that the pattern or table that tells "
            "patients does not take each slice for one."
        )
    if metadata["synthetic"]:
        lines.append("  PHANTOM: SYNTHETIC DATA. Scores on it say nothing of patients.")
    return "\n".join(lines)


def _count(number: int, plural: str) -> str:
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"


def contents(metadata: Mapping[str, Any]) -> str:
    """How many have tumour, or how many there are of each class without masks."""
    if "volumes" in metadata:
        return f"{metadata['tumour_volumes']} with tumour"
    if metadata["classes"]:
        return f"{metadata['tumour_slices']} with tumour"
    counts = metadata["slices_by_class"]
    return ", ".join(f"{count} of {name}" for name, count in counts.items())


def damaged(path: pathlib.Path, reason: str) -> ValueError:
    """What is said of a damaged file of a prepared data set."""
    return ValueError(
        f"{path} is damaged: {reason}. Delete the folder {path.parent} and prepare again."
    )
