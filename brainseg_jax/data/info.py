"""What a data set says of itself: read where it is prepared, or from a run's record."""

import dataclasses
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from brainseg_jax.data import damage

ALIKE = 0.01  # share by which spacings may differ and count as one
TUMOUR_OR_NONE = ("no tumour", "tumour")  # labels of a set without any of its own
VERSION = re.compile(r"\d+\.\d+\.\d+")
DESCRIBED = ("dataset_info.json", "features.json", "metadata.json")


@dataclasses.dataclass(frozen=True)
class Info:
    """A data set in words and numbers, without its pixels."""

    name: str
    version: str
    classes: dict[str, int | list[int]]  # class -> its label in the mask, or labels
    painting: list[tuple[str, int]]  # how regions become labels: tasks/segmentation.py
    labels: tuple[str, ...]  # classes of whole examples
    channels: tuple[str, ...]
    folds: dict[str, int]  # patient -> fold
    synthetic: bool
    leaky: dict[str, list[str]]  # slice-level split -> keys of its examples
    dimensions: int = 2  # spatial axes of an example: 2 for slices, 3 for volumes
    dtype: str = "uint8"  # of its stored images
    one_patient_per_file: bool = False  # said by its owner, and shown by nothing
    one_slice_per_patient: bool = (
        False  # as a pattern or table tells them: to be checked
    )
    # Of volumes, the median of the millimetres along each axis; (): not known
    spacing: tuple[float, ...] = ()
    # All that the data set has, where only some are chosen; else ()
    stored_channels: tuple[str, ...] = ()
    # The publisher's own split of whole patients -> keys of its examples
    official: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What examples are of, if their labels say it, such as kinds of tumour.

        () where the labels only say whether anything is marked at all.
        """
        marked_or_not = len(self.labels) == 2 and (
            self.labels[0] in ("empty", f"no {self.labels[1]}")
        )
        return () if marked_or_not or len(self.labels) < 2 else self.labels

    @property
    def members(self) -> tuple[tuple[int, ...], ...]:
        """Each class's labels in the mask."""
        return tuple(tuple(_list(labels)) for labels in self.classes.values())

    @property
    def names_of_labels(self) -> dict[int, str]:
        """What a label of a predicted mask stands for."""
        if self.painting:
            return {label: name for name, label in self.painting}
        return {
            labels[0]: name
            for name, labels in zip(self.classes, self.members, strict=True)
        }

    def note(self, *splits: str) -> str:
        """What every table and picture of these splits has to say."""
        notes = ["PHANTOM: synthetic data"] if self.synthetic else []
        if any(split in self.leaky for split in splits):
            notes.append("LEAKY: slices of the same patients on both sides")
        if self.one_patient_per_file:
            notes.append("ONE PATIENT PER FILE: said by the owner, not checked")
        if self.one_slice_per_patient:
            notes.append("EACH PATIENT HAS ONE SLICE: check how patients are told")
        return "; ".join(notes)

    def joined(self, foreground: str) -> "Info":
        """The same with all labels of the mask as one class of that name; "" joins none.

        Predicted masks then have the smallest of its labels.

        Raises:
            ValueError: if a class that is not all of the foreground has that name already.
        """
        if not foreground:
            return self
        labels = sorted(
            {label for one in self.classes.values() for label in _list(one)}
        )
        own = self.classes.get(foreground)
        if own is not None and sorted(_list(own)) != labels:
            raise ValueError(
                f"config.task.foreground is {foreground!r}, which is only one of the "
                f"classes {', '.join(self.classes)} of {self.name}. Give all of them "
                'together a name of its own, like "tumour".'
            )
        return dataclasses.replace(
            self,
            classes={foreground: labels if len(labels) > 1 else labels[0]},
            painting=[(foreground, labels[0])],
        )

    def choosing(self, channels: Sequence[str]) -> "Info":
        """The same with these channels alone, in this order; () for all as stored.

        Raises:
            ValueError: for a channel that there is not, or one that is named twice.
        """
        if not channels:
            return self
        if unknown := [name for name in channels if name not in self.channels]:
            raise ValueError(
                f"config.data.channels has {unknown[0]!r}, which is no channel of "
                f"{self.name}; there are: {', '.join(self.channels)}."
            )
        if len(set(channels)) < len(channels):
            raise ValueError(
                f"config.data.channels is {tuple(channels)}; name each channel once."
            )
        return dataclasses.replace(
            self, channels=tuple(channels), stored_channels=self.all_channels
        )

    @property
    def all_channels(self) -> tuple[str, ...]:
        """Those of the stored images, of which some may be chosen."""
        return self.stored_channels or self.channels

    @property
    def chosen_places(self) -> tuple[int, ...]:
        """Of the channels among those that are stored."""
        return tuple(map(self.all_channels.index, self.channels))

    def alike_spaced(self, other: "Info") -> bool:
        """Whether volumes' voxels are as large, to 1 %, as far as it is known."""
        return spacings_alike(self.spacing, other.spacing)

    def to_record(self) -> dict[str, Any]:
        """All but the keys of leaky and official splits, as plain JSON."""
        kept = dataclasses.asdict(self)
        del kept["leaky"], kept["official"]
        spacing = {"spacing": list(self.spacing)} if self.spacing else {}
        del kept["spacing"]  # of slices, as records always had it
        if not self.stored_channels:
            del kept["stored_channels"]
        return kept | {
            **spacing,
            "painting": [list(pair) for pair in self.painting],
            "labels": list(self.labels),
            "channels": list(self.channels),
        }


def spacings_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """To 1 % on each axis; one that is not known, () or NaN, is like any."""
    if len(one) != len(other):
        return not one or not other
    return not (np.abs(np.divide(one, other) - 1) > ALIKE).any()


def read_info(name: str, data_dir: str | pathlib.Path) -> Info:
    """Of the newest version that is prepared.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if what describes it is damaged.
    """
    builder = open_builder(name, data_dir)
    with damage.named(pathlib.Path(builder.data_dir) / "metadata.json"):
        return _info_of(name, builder)


def _list(labels: int | list[int]) -> list[int]:
    return [labels] if isinstance(labels, int) else labels


def _info_of(name: str, builder: tfds.core.DatasetBuilder) -> Info:
    metadata: Any = builder.info.metadata
    features: Any = builder.info.features
    labels = features["label"].names if "label" in features else TUMOUR_OR_NONE
    return described(
        name,
        channels=metadata["channels"],
        classes=metadata["classes"],
        labels=labels,
        painting=metadata.get("painting", ()),
        version=str(builder.version),
        folds=dict(metadata["folds"]),
        synthetic=bool(metadata["synthetic"]),
        leaky=dict(metadata["leaky"]),
        official=metadata.get("official"),
        dimensions=len(features["image"].shape) - 1,
        dtype=np.dtype(features["image"].np_dtype).name,
        one_patient_per_file=bool(metadata.get("one_patient_per_file", False)),
        one_slice_per_patient=bool(metadata.get("one_slice_per_patient", False)),
    )


def from_record(data: Mapping[str, Any]) -> Info:
    """From what a run's record says of its data.

    Runs that began before a field existed had data of which its default is true.
    """
    fields = {field.name for field in dataclasses.fields(Info)}
    known = {"labels": TUMOUR_OR_NONE, **data}
    return described(**{name: known[name] for name in known if name in fields})


def described(
    name: str,
    *,
    channels: Sequence[str],
    classes: Mapping[str, int | Sequence[int]],
    labels: Sequence[str],
    painting: Sequence[Sequence[Any]] = (),
    version: str = "",
    folds: Mapping[str, int] | None = None,
    synthetic: bool = False,
    leaky: Mapping[str, Sequence[str]] | None = None,
    official: Mapping[str, Sequence[str]] | None = None,
    spacing: Sequence[float] = (),
    stored_channels: Sequence[str] = (),
    **form: Any,
) -> Info:
    """From its parts as JSON or a builder has them; what is not known yet stays empty."""
    return Info(
        name=name,
        version=version,
        classes={
            key: value if isinstance(value, int) else [int(label) for label in value]
            for key, value in classes.items()
        },
        painting=[(region, int(label)) for region, label in painting],
        labels=tuple(labels),
        channels=tuple(channels),
        stored_channels=tuple(stored_channels),
        folds=dict(folds or {}),
        synthetic=synthetic,
        leaky={split: list(keys) for split, keys in (leaky or {}).items()},
        spacing=tuple(spacing),
        official={split: list(keys) for split, keys in (official or {}).items()},
        **form,
    )


def open_builder(name: str, data_dir: str | pathlib.Path) -> tfds.core.DatasetBuilder:
    """The newest version in `data_dir`; folders of other names are left alone.

    Raises:
        FileNotFoundError: if no version is prepared there.
        ValueError: if what describes it is damaged.
    """
    folder = pathlib.Path(data_dir).expanduser() / name
    versions = [
        path.parent
        for path in folder.glob("*/dataset_info.json")
        if VERSION.fullmatch(path.parent.name)
    ]
    if not versions:
        raise FileNotFoundError(
            f"{name} is not prepared in {folder}. Prepare it with "
            "`python main.py --mode=prepare --config=...`, or name the folder that holds "
            "prepared data sets with --config.data.data_dir=... (--data_dir=... in "
            "--mode=evaluate)."
        )
    newest = max(versions, key=lambda path: [int(n) for n in path.name.split(".")])
    for file in DESCRIBED:
        damage.require_json(newest / file)
    with damage.named(newest):
        return tfds.builder_from_directory(newest)
