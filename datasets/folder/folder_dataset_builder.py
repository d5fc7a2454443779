"""TFDS builder of your own pictures: whole patients in five folds, lossless."""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from rich import progress

from datasets import archives, grid_features, pixels, raw
from datasets.folder import class_folders, examine, layouts, patients, tables, volumes
from datasets.folder import settings as folder_settings
from datasets.folder.parts import Example, Found, Meaning, is_volume

PICTURES_PER_FILE, VOLUMES_PER_FILE = 1024, 4


class Builder(tfds.core.ShardBasedBuilder):
    """Pictures; `raw_dir` is laid out as `settings`, a config's data.folder, says."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Five folds of whole patients."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = layouts.HOW_TO_GIVE
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="phantom_pairs", description="SYNTHETIC heads."),
        tfds.core.BuilderConfig(name="phantom_classes", description="SYNTHETIC heads."),
    ]
    OWN_NAMES = re.compile(r"(?!phantom)[a-z0-9][a-z0-9_-]*")  # of everybody's own sets

    def __init__(
        self,
        *,
        settings: Mapping[str, Any],
        raw_dir: str = "",
        skip_bad_files: bool = False,
        **options: Any,
    ):
        self.raw_dir = raw_dir
        self.skip_bad_files = skip_bad_files
        self.settings = folder_settings.read(settings)
        super().__init__(**options)

    @classmethod
    def get_builder_config(
        cls, name: str, version: Any = None
    ) -> tfds.core.BuilderConfig | None:
        """Any name of one's own is a configuration; TFDS would warn of those it lacks."""
        known = super().get_builder_config(name, version)
        if known or not cls.OWN_NAMES.fullmatch(name):
            return known
        return tfds.core.BuilderConfig(name=name, description="Your own pictures.")

    @classmethod
    def foretell(cls, settings: Mapping[str, Any], raw_dir: str = "") -> dict[str, Any]:
        """Channels and classes before anything is prepared, as far as they are known."""
        checked = folder_settings.read(settings)
        told = layouts.foretell(checked, raw_dir)
        return {
            "channels": told.channels,
            "classes": told.classes,
            "labels": told.labels,
            "painting": told.painting,
            "dimensions": layouts.dimensions(checked, raw_dir),
        }

    @staticmethod
    def differences(
        settings: Mapping[str, Any], raw_dir: str, metadata: Mapping[str, Any]
    ) -> list[str]:
        """What was otherwise when a data set was prepared, one text for each key."""
        checked = folder_settings.read(settings)
        found = folder_settings.differences(checked, metadata["settings"])
        if raw_dir and layouts.source(raw_dir) != metadata["source"]:
            source = metadata["source"]
            found.append(f"config.data.raw_dir={source} there, {raw_dir} now")
        return found

    def _info(self) -> tfds.core.DatasetInfo:
        whole = (None, None, None) if self.volumes else (None, None)
        channels = len(self.meaning.channels)
        features = {
            "image": pixels.feature((*whole, channels), self.dtype),
            "mask": pixels.feature((*whole, 1), np.uint8),
            "label": tfds.features.ClassLabel(names=list(self.meaning.labels)),
            "patient": tfds.features.Text(),
            "slice": tfds.features.Scalar(np.int32),
            "key": tfds.features.Text(),
        }
        if not self.meaning.classes:
            del features["mask"]
        if self.volumes:
            features |= grid_features.features()
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(),
            # Stored by patient: one is read in one go; training shuffles.
            disable_shuffling=True,
        )

    @functools.cached_property
    def files(self) -> archives.Files:
        return layouts.open_files(self.raw_dir)

    @functools.cached_property
    def meaning(self) -> Meaning:
        return layouts.meaning(self.settings, self.files)

    @functools.cached_property
    def found(self) -> Found:
        """All examples by name alone, and the files that fit none."""
        return layouts.find(self.settings, self.files)

    @functools.cached_property
    def told(self) -> patients.Told:
        """Whose the examples are, by key, and the files that are nobody's."""
        return patients.find_patients(self.found.examples, self.settings, self.files)

    @functools.cached_property
    def first(self) -> np.ndarray:
        """The first image of a patient that can be read; an empty one if none can.

        All that are stored have its type.
        """
        reader = examine.Reader(self.files, self.meaning)
        whose, _ = self.told
        for one in (one for one in self.found.examples if one.key in whose):
            try:
                return reader.image(one)
            except ValueError:
                continue  # it is named with all others once they are examined
        return np.zeros((0, 0, len(self.meaning.channels)), np.uint8)

    @functools.cached_property
    def volumes(self) -> bool:
        """Whether examples are volumes; pictures else."""
        return any(is_volume(one.images[0]) for one in self.found.examples)

    @functools.cached_property
    def dtype(self) -> np.dtype:
        """Of all stored images."""
        if self.volumes:
            return volumes.common_type(self.files, self.found.examples)
        return self.first.dtype

    def _reader(self) -> examine.Reader | examine.VolumeReader:
        if self.volumes:
            return examine.VolumeReader(self.files, self.meaning, self.dtype)
        return examine.Reader(self.files, self.meaning)

    def bytes_needed(self) -> int:
        """An estimate of the prepared size: all examples as large as the first."""
        if self.volumes:
            for one in self.found.examples:
                with contextlib.suppress(ValueError):  # it is named once all are read
                    packed = sum(len(self.files.read(name)) for name in one.images)
                    return len(self.found.examples) * packed * 2
        return len(self.found.examples) * (self.first.nbytes + self.first[..., 0].size)

    def _shard_iterators_per_split(
        self, dl_manager: Any
    ) -> dict[str, list[Callable[[], Iterator]]]:
        """Reads everything once before a byte is written: all faults, then the folds."""
        whose, nobodys = self.told
        examples = [one for one in self.found.examples if one.key in whose]
        reader = self._reader()
        tallied, known, unreadable = examine.read_all(
            reader, examples, whose, self.settings.spacing
        )
        skipped = [*self.found.bad, *nobodys, *unreadable]
        if not known or (skipped and not self.skip_bad_files):
            raise raw.bad_files(skipped, "Mend the data", any_left=bool(known))
        examples = sorted(
            (one for one in examples if one.key in known),
            key=lambda one: (known[one.key].patient, known[one.key].number),
        )
        if self.settings.layout == "classes":
            class_folders.check_patients(examples, whose, self.meaning.labels)
        table = tables.fold_table(known, self.meaning)
        self.info.metadata.update(
            tables.metadata(
                self.settings,
                layouts.source(self.raw_dir),
                self.meaning,
                examples,
                known,
                table=table,
                skipped=skipped,
            )
        )
        splits = {
            f"fold_{fold}": [one for one in examples if table[whose[one.key]] == fold]
            for fold in sorted(set(table.values()))
        }
        # Still the folder of an unfinished data set: the index appears with the records.
        tallied.write(
            self.data_dir,
            {name: [one.key for one in members] for name, members in splits.items()},
        )
        # TFDS holds a file's examples while it writes it.
        size = VOLUMES_PER_FILE if self.volumes else PICTURES_PER_FILE
        return {
            name: [
                functools.partial(
                    self._shard, members[start : start + size], known, name
                )
                for start in range(0, len(members), size)
            ]
            for name, members in splits.items()
        }

    def _shard(
        self,
        examples: Sequence[Example],
        known: Mapping[str, examine.Known],
        split: str,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """The examples of a file."""
        reader = self._reader()
        contents = examine.read_each(reader, reader.read, examples)
        shown = progress.track(contents, f"Writing {split}", total=len(examples))
        for place, (content, one) in enumerate(zip(shown, examples, strict=True)):
            example = {
                "image": pixels.encode(content.image),
                "label": known[one.key].label,
                "patient": known[one.key].patient,
                "slice": known[one.key].number,
                "key": one.key,
            }
            if self.meaning.classes:
                example["mask"] = pixels.encode(content.mask[..., None])
            if content.place:
                example |= grid_features.values(content.place)
            yield place, example
