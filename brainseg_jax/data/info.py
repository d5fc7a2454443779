"""What a prepared data set says of itself, and what a run keeps of it."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds

VERSION = re.compile(r"\d+\.\d+\.\d+")  # unlike that of a copy, "1.0.0-backup"
TUMOUR_OR_NONE = ("no tumour", "tumour")  # what `has_tumour` says


@dataclasses.dataclass(frozen=True)
class Info:
    """What a data set says of itself."""

    name: str
    version: str
    classes: dict[str, int | list[int]]  # class -> its label in the mask, or labels
    painting: list[tuple[str, int]]  # how regions become labels: tasks/segmentation.py
    labels: tuple[str, ...]  # classes of whole examples
    channels: tuple[str, ...]
    folds: dict[str, int]  # patient -> fold
    synthetic: bool
    leaky: dict[str, list[str]]  # slice-level split -> keys of its examples

    def note(self, *splits: str) -> str:
        """What every table and picture of these splits has to say."""
        notes = ["PHANTOM: synthetic data"] if self.synthetic else []
        if any(split in self.leaky for split in splits):
            notes.append("LEAKY: slices of the same patients on both sides")
        return "; ".join(notes)

    def to_record(self) -> dict[str, Any]:
        """All but the keys of leaky splits, as plain JSON."""
        kept = dataclasses.asdict(self)
        del kept["leaky"]
        return kept | {
            "painting": [list(pair) for pair in self.painting],
            "labels": list(self.labels),
            "channels": list(self.channels),
        }


def described(
    name: str,
    *,
    channels: Sequence[str],
    classes: Mapping[str, int | list[int]],
    labels: Sequence[str],
    painting: Sequence[Sequence[Any]] = (),
) -> Info:
    """Of a data set that is not prepared yet: what its builder says."""
    return Info(
        name=name,
        version="",
        classes=dict(classes),
        painting=[(one, label) for one, label in painting],
        labels=tuple(labels),
        channels=tuple(channels),
        folds={},
        synthetic=False,
        leaky={},
    )


def from_record(saved: Mapping[str, Any]) -> Info:
    """What a run kept; earlier runs kept no painting."""
    about = described(
        saved["name"],
        channels=saved["channels"],
        classes=saved["classes"],
        labels=saved["labels"],
        painting=saved.get("painting", ()),
    )
    return dataclasses.replace(
        about,
        version=saved["version"],
        folds=dict(saved["folds"]),
        synthetic=saved["synthetic"],
    )


def read(name: str, data_dir: str | pathlib.Path) -> Info:
    """Of a prepared data set.

    Raises:
        FileNotFoundError: if it is not prepared in `data_dir`.
    """
    builder = open_builder(name, data_dir)
    metadata: Any = builder.info.metadata
    return Info(
        name=name,
        version=str(builder.version),
        classes=dict(metadata["classes"]),
        painting=[(one, label) for one, label in metadata.get("painting", [])],
        labels=_labels(builder),
        channels=tuple(metadata["channels"]),
        folds=dict(metadata["folds"]),
        synthetic=bool(metadata["synthetic"]),
        leaky=dict(metadata["leaky"]),
    )


def open_builder(name: str, data_dir: str | pathlib.Path) -> tfds.core.DatasetBuilder:
    """The newest prepared version of a data set.

    Raises:
        FileNotFoundError: if there is none in `data_dir`.
    """
    folder = pathlib.Path(data_dir).expanduser() / name
    described = (path.parent for path in folder.glob("*/dataset_info.json"))
    versions = [path for path in described if VERSION.fullmatch(path.name)]
    if not versions:
        raise FileNotFoundError(
            f"{name} is not prepared in {folder}. Prepare it with "
            "`python main.py --mode=prepare --config=...`, or name the folder that holds "
            "prepared data sets with --config.data.data_dir=... (--data_dir=... in "
            "--mode=evaluate)."
        )
    newest = max(versions, key=lambda path: [int(n) for n in path.name.split(".")])
    return tfds.builder_from_directory(newest)


def _labels(builder: tfds.core.DatasetBuilder) -> tuple[str, ...]:
    """Names of the feature "label" where a data set has it; else tumour or none."""
    features: Any = builder.info.features
    return tuple(features["label"].names) if "label" in features else TUMOUR_OR_NONE
