"""TFDS builder of the figshare brain tumour set: whole patients in five folds, lossless."""

import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from rich import progress

from datasets import archives, leaky, pixels, raw
from datasets.figshare_brain_tumor import downloads, examine, raw_files, tables
from datasets.synthetic import phantom

PUBLISHED_SLICES = 3064
LARGEST = 512  # rows and columns, for an upper bound of the prepared size
HOW_TO_GET = f"""\
Leave --config.data.raw_dir empty to download it (0.9 GB, no account needed), or fetch all
files of {downloads.ARTICLE}
and pass their folder, or the zip that "Download all" gives, as --config.data.raw_dir=..."""
LICENCES = {
    "figshare": "CC BY 4.0",
    "phantom": "Derived from the ICBM 2009a template as shipped with nilearn; "
    "copyright 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal "
    "Neurological Institute, McGill University; free use with this notice",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Slices; `raw_dir` is the article's zip, or a folder of its zips or of .mat files."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Five folds of whole patients, and the official five."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = HOW_TO_GET
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="figshare", description="The published slices."),
        tfds.core.BuilderConfig(name="phantom", description="SYNTHETIC heads."),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "figshare"
    DOWNLOADS = downloads.FILES
    CHANNELS = ("post-contrast T1",)
    CLASSES = {name: number for number, name in enumerate(raw_files.CLASSES, start=1)}
    LABELS = raw_files.CLASSES  # of slices, by label

    def __init__(
        self, *, raw_dir: str = "", skip_bad_files: bool = False, **options: Any
    ):
        self.raw_dir = raw_dir
        self.skip_bad_files = skip_bad_files
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": pixels.feature((None, None, 1), np.uint16),
                    "mask": pixels.feature((None, None, 1), np.uint8),
                    "label": tfds.features.ClassLabel(names=list(self.LABELS)),
                    "border": pixels.feature((None, 2), np.float64),
                    "official_fold": tfds.features.Scalar(np.int32),
                    "patient": tfds.features.Text(),
                    "slice": tfds.features.Scalar(np.int32),
                    "key": tfds.features.Text(),
                }
            ),
            homepage=downloads.ARTICLE,
            metadata=tfds.core.MetadataDict(),
            # Stored by patient and slice: a patient is read in one go; training shuffles.
            disable_shuffling=True,
        )

    @functools.cached_property
    def files(self) -> archives.Files:
        """The raw files, not yet read; MissingRawData if there are none."""
        if not self.raw_dir:
            raise raw.MissingRawData(f"{self.name} needs raw data. {HOW_TO_GET}")
        path = pathlib.Path(self.raw_dir).expanduser()
        if not path.exists():
            raise raw.MissingRawData(f"There is no {path}. {HOW_TO_GET}")
        files = archives.Files(path)
        slices, _ = raw_files.find_slices(files.names)
        if not slices:
            raise raw.MissingRawData(f"{path} holds no <number>.mat. {HOW_TO_GET}")
        return files

    def bytes_needed(self) -> int:
        """An upper bound of the prepared size: the decoded pixels."""
        slices, _ = raw_files.find_slices(self.files.names)
        return len(slices) * LARGEST**2 * 3

    @property
    def _synthetic(self) -> bool:
        return self.builder_config.name == "phantom"

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        """Reads everything once before a byte is written: all faults, then the folds."""
        slices, bad = raw_files.find_slices(self.files.names)
        tallied, known, unreadable = examine.read_all(self.files, slices)
        self._check_origin(slices, known)
        skipped = bad + unreadable
        if not known or (skipped and not self.skip_bad_files):
            raise raw.bad_files(skipped)
        slices = sorted(
            (one for one in slices if one.key in known),
            key=lambda one: (known[one.key].patient, one.number),
        )
        official = examine.official_folds(
            self.files, slices, known, None if self._synthetic else PUBLISHED_SLICES
        )
        table = tables.fold_table(known)
        self.info.metadata.update(self._metadata(known, official, table, skipped))
        splits = {
            f"fold_{fold}": [
                one for one in slices if table[known[one.key].patient] == fold
            ]
            for fold in sorted(set(table.values()))
        }
        # Still the folder of an unfinished data set: the index appears with the records.
        tallied.write(
            self.data_dir,
            {name: [one.key for one in members] for name, members in splits.items()},
        )
        return {
            name: self._generate_examples(members, official, name)
            for name, members in splits.items()
        }

    def _generate_examples(
        self, slices: Sequence[raw_files.Slice], official: Mapping[str, int], split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, one in enumerate(progress.track(slices, f"Writing {split}")):
            content = raw_files.read_slice(self.files, one.file)
            yield (
                place,
                {
                    "image": pixels.encode(content.image[..., None]),
                    "mask": pixels.encode(content.mask[..., None]),
                    "label": content.label - 1,
                    "border": content.border,
                    "official_fold": official[one.key],
                    "patient": content.patient,
                    "slice": one.number,
                    "key": one.key,
                },
            )

    def _check_origin(
        self, slices: Sequence[raw_files.Slice], known: Mapping[str, examine.Known]
    ) -> None:
        """Raises BadFile for synthetic slices among real ones, and real among synthetic."""
        for one in slices:
            if one.key not in known:
                continue
            if (phantom.MARK in known[one.key].patient) != self._synthetic:
                raise raw.BadFile(
                    f"{one.file} is {'real' if self._synthetic else 'synthetic'}, so it is "
                    f"not for {self.name}/{self.builder_config.name}: set "
                    "--config.data.name or --config.data.raw_dir "
                    "(--config.data.skip_bad_files=True does not help here)."
                )

    def _metadata(
        self,
        known: Mapping[str, examine.Known],
        official: Mapping[str, int],
        table: Mapping[str, int],
        skipped: list[dict[str, str]],
    ) -> dict[str, Any]:
        labels = {key: one.label for key, one in known.items()}
        classes = {one.patient: one.label for one in known.values()}
        return {
            "classes": self.CLASSES,
            "channels": list(self.CHANNELS),
            "task": "segmentation",
            "synthetic": self._synthetic,
            "source": "datasets/synthetic/phantom.py, synthetic"
            if self._synthetic
            else downloads.ARTICLE,
            "licence": LICENCES[self.builder_config.name],
            "patients": len(table),
            "slices": len(known),
            "tumour_slices": len(known),
            "slices_by_class": tables.count_classes(labels),
            "patients_by_class": tables.count_classes(classes),
            "folds": dict(table),
            "fold_rule": tables.FOLD_RULE,
            "official": tables.official_splits(official),
            "leaky": leaky.splits_by_class(labels, tables.SEED),
            "skipped": skipped,
        }
