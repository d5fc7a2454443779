"""TFDS builder of BraTS 2021's volumes: whole patients in five folds, lossless."""

import contextlib
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from rich import progress

from datasets import ahead, building, grid_features, pixels, raw
from datasets.brats2021 import examine, raw_files, releases, tcga
from datasets.brats2021.releases import Case, Release

SOURCE = "https://www.kaggle.com/datasets/dschettler8845/brats-2021-task1"
HOW_TO_GET = f"""\
Download BraTS2021_Training_Data.tar of {SOURCE}
(13 GB, free account needed) and pass it as it comes, or the folder it unpacks to, as
--config.data.raw_dir=/path/to/BraTS2021_Training_Data.tar
Cases of BraTS 2023 (BraTS-GLI-*) are read, too. To try everything on built-in synthetic
data instead, without a download, set --config.data.name=brats2021/phantom"""
# Cases in a record file. TFDS holds a file's while it writes it; other builders of its hold
# a whole split, and beyond a gigabyte need TensorFlow for it.
PER_FILE = 4
LICENCES = {
    "kaggle": "The challenge's own terms: for research, with the citations it asks for",
    "phantom": "Derived from the ICBM 2009a template as shipped with nilearn; "
    "copyright 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal "
    "Neurological Institute, McGill University; free use with this notice",
}


class Builder(tfds.core.ShardBasedBuilder):
    """Volumes; `raw_dir` is the tar, a folder of cases, or a folder around that."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Five folds of whole patients."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = HOW_TO_GET
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="kaggle", description="The published volumes."),
        tfds.core.BuilderConfig(name="phantom", description="SYNTHETIC heads."),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "kaggle"
    CHANNELS = releases.CHANNELS
    CLASSES = releases.RELEASES[0].classes
    LABELS = ("no tumour", "tumour")  # of whole volumes
    OF_VOLUMES = {
        "painting": releases.RELEASES[0].painting,
        "dimensions": 3,
        "dtype": "int16",
    }

    def __init__(
        self, *, raw_dir: str = "", skip_bad_files: bool = False, **options: Any
    ):
        self.raw_dir = raw_dir
        self.skip_bad_files = skip_bad_files
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        whole = (None, None, None)
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": pixels.feature((*whole, len(self.CHANNELS)), np.int16),
                    "mask": pixels.feature((*whole, 1), np.uint8),
                    **grid_features.features(),
                    "patient": tfds.features.Text(),
                    "key": tfds.features.Text(),
                }
            ),
            homepage=SOURCE,
            metadata=tfds.core.MetadataDict(),
            # Stored by patient; training shuffles.
            disable_shuffling=True,
        )

    @functools.cached_property
    def files(self) -> raw_files.Files:
        """The raw files, not yet read; MissingRawData if there are none."""
        if not self.raw_dir:
            raise raw.MissingRawData(f"{self.name} needs raw data. {HOW_TO_GET}")
        path = pathlib.Path(self.raw_dir).expanduser()
        if not path.exists():
            raise raw.MissingRawData(f"There is no {path}. {HOW_TO_GET}")
        return raw_files.open_brats(path)

    @functools.cached_property
    def found(self) -> releases.Found:
        """All cases by name alone; MissingRawData if there is nothing like one."""
        found = releases.find_cases(self.files.names)
        if not found.cases and not found.bad:
            tars = [name for name in self.files.names if name.endswith(".tar")]
            perhaps = "".join(f"\nPerhaps {self.files.path / name}?" for name in tars)
            raise raw.MissingRawData(
                f"{self.raw_dir} holds no BraTS2021_*_flair.nii.gz.{perhaps}\n{HOW_TO_GET}"
            )
        return found

    @property
    def _synthetic(self) -> bool:
        return self.builder_config.name == "phantom"

    def bytes_needed(self) -> int:
        """An estimate of the prepared size: every case half as large again as packed."""
        for case in self.found.cases:
            with contextlib.suppress(ValueError):  # it is named once all are read
                packed = [len(self.files.read(name)) for name in case.files.values()]
                return len(self.found.cases) * sum(packed) * 3 // 2
        return 0

    def _read(self, case: Case) -> raw_files.Content:
        shape = None if self._synthetic else raw_files.PUBLISHED_SHAPE
        return raw_files.read_case(self.files, case, self.found.release, shape)

    def _shard_iterators_per_split(
        self, dl_manager: Any
    ) -> dict[str, list[Callable[[], Iterator]]]:
        """Reads everything once before a byte is written: all faults, then the folds."""
        cases, bad, release = self.found
        self._check_origin(cases)
        patients, unusable = tcga.find_patients(self.files, cases)
        # TFDS's name for an unfinished data set is beside that of the finished one.
        checked = building.checked_folder(pathlib.Path(self.data_dir).parent)
        tallied, known, unreadable = examine.read_all(
            cases, patients, self._read, self.files, checked
        )
        skipped = [*bad, *unusable, *unreadable]
        if not known or (skipped and not self.skip_bad_files):
            raise raw.bad_files(skipped, what="cases")
        cases = sorted(
            (one for one in cases if one.key in known),
            key=lambda one: (known[one.key].patient, one.key),
        )
        table = examine.fold_table(known, release.enhancing)
        self.info.metadata.update(self._metadata(known, release, table, skipped))
        splits = {
            f"fold_{fold}": [
                one for one in cases if table[known[one.key].patient] == fold
            ]
            for fold in sorted(set(table.values()))
        }
        # Still the folder of an unfinished data set: the index appears with the records.
        tallied.write(
            self.data_dir,
            {name: [one.key for one in members] for name, members in splits.items()},
        )
        contents = self._contents(
            [one for members in splits.values() for one in members]
        )
        return {
            name: [
                functools.partial(
                    self._shard, members[start : start + PER_FILE], contents, patients
                )
                for start in range(0, len(members), PER_FILE)
            ]
            for name, members in splits.items()
        }

    def _contents(self, cases: Sequence[Case]) -> Iterator[raw_files.Content]:
        """What the cases hold, read on up to eight processors while others are written."""
        done = ahead.ahead(self._read, cases)
        shown = iter(progress.track(done, "Writing cases", total=len(cases)))
        for place in range(len(cases)):
            content = next(shown)
            if place == len(cases) - 1:
                next(shown, None)  # so that the bar ends
            yield content

    def _shard(
        self,
        cases: Sequence[Case],
        contents: Iterator[raw_files.Content],
        patients: Mapping[str, str],
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """The examples of a file; TFDS asks for the files in their order."""
        own = itertools.islice(contents, len(cases))
        for place, (case, content) in enumerate(zip(cases, own, strict=True)):
            yield place, self._example(case, content, patients[case.key])

    def _example(
        self, case: Case, content: raw_files.Content, patient: str
    ) -> dict[str, Any]:
        return {
            "image": pixels.encode(content.image),
            "mask": pixels.encode(content.mask[..., None]),
            **grid_features.values(content.place),
            "patient": patient,
            "key": case.key,
        }

    def _check_origin(self, cases: Sequence[Case]) -> None:
        """Raises BadFile for synthetic cases among real ones, and real among synthetic."""
        for one in cases:
            if one.synthetic != self._synthetic:
                raise raw.BadFile(
                    f"{one.key} is {'real' if self._synthetic else 'synthetic'}, so it is "
                    f"not for {self.name}/{self.builder_config.name}: set "
                    "--config.data.name or --config.data.raw_dir "
                    "(--config.data.skip_bad_files=True does not help here)."
                )

    def _metadata(
        self,
        known: Mapping[str, examine.Known],
        release: Release,
        table: Mapping[str, int],
        skipped: list[dict[str, str]],
    ) -> dict[str, Any]:
        return {
            "classes": release.classes,
            "painting": [list(pair) for pair in release.painting],
            "channels": list(self.CHANNELS),
            "task": "segmentation",
            "release": release.name,
            "synthetic": self._synthetic,
            "source": "datasets/synthetic/phantom.py, synthetic"
            if self._synthetic
            else SOURCE,
            "licence": LICENCES[self.builder_config.name],
            "patients": len(table),
            "volumes": len(known),
            "tumour_volumes": sum(bool(one.voxels) for one in known.values()),
            "enhancing_volumes": sum(
                release.enhancing in one.voxels for one in known.values()
            ),
            "folds": dict(table),
            "fold_rule": examine.FOLD_RULE,
            "leaky": {},
            "skipped": skipped,
        }
