"""TFDS builder of the LGG segmentation set: whole patients in five folds, lossless."""

import functools
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from rich import progress

from datasets import folds, leaky, pixels, raw
from datasets import index as data_index
from datasets.lgg_mri import clinical, raw_files
from datasets.synthetic import phantom

FOLDS, SEED = 5, 0
SOURCE = "https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation"
HOW_TO_GET = f"""\
Download {SOURCE} (1 GB, free account needed), then pass the zip, or the folder
kaggle_3m from it, as --config.data.raw_dir=/path/to/archive.zip
To try everything on built-in synthetic data instead, without a download:
  python main.py --config=configs/resunet_lgg.py:phantom"""
FOLD_RULE = (
    f"Whole patients into at most {FOLDS} folds by assign_folds with seed {SEED}: "
    "within an institution, patients ordered by tumour volume (mask pixels) are dealt "
    "out one to each fold in random order; small institutions are pooled."
)
LICENCES = {
    "kaggle": "CC BY-NC-SA 4.0",
    "phantom": "Derived from the ICBM 2009a template as shipped with nilearn; "
    "copyright 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal "
    "Neurological Institute, McGill University; free use with this notice",
}


class Builder(tfds.core.GeneratorBasedBuilder):
    """LGG slices; `raw_dir` is the kaggle_3m folder, its parent, or the zip."""

    VERSION = tfds.core.Version("1.2.0")
    RELEASE_NOTES = {
        "1.2.0": "The same examples and folds; the clinical table in the metadata.",
        "1.1.0": "The same examples and folds; an index of them beside the records.",
        "1.0.0": "Five folds of whole patients.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = HOW_TO_GET
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="kaggle", description="The published MR slices."),
        tfds.core.BuilderConfig(name="phantom", description="SYNTHETIC heads."),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "kaggle"
    CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")
    CLASSES = {"tumour": 255}
    LABELS = ("no tumour", "tumour")  # of slices, by has_tumour

    def __init__(
        self, *, raw_dir: str = "", skip_bad_files: bool = False, **options: Any
    ):
        self.raw_dir = raw_dir
        self.skip_bad_files = skip_bad_files
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        size = raw_files.SIZE
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": pixels.feature((size, size, 3), np.uint8),
                    "mask": pixels.feature((size, size, 1), np.uint8),
                    "has_tumour": tfds.features.ClassLabel(
                        names=["no_tumour", "tumour"]
                    ),
                    "patient": tfds.features.Text(),
                    "slice": tfds.features.Scalar(np.int32),
                    "institution": tfds.features.Text(),
                    "key": tfds.features.Text(),
                }
            ),
            homepage=SOURCE,
            metadata=tfds.core.MetadataDict(),
            # Stored by patient and slice: volumes are read in one go; training shuffles.
            disable_shuffling=True,
        )

    @functools.cached_property
    def files(self) -> raw.Folder | raw.Zip:
        """The raw files, not yet read; MissingRawData if there are none."""
        if not self.raw_dir:
            raise raw.MissingRawData(
                f"{self.name}/{self.builder_config.name} needs raw data. {HOW_TO_GET}"
            )
        path = pathlib.Path(self.raw_dir).expanduser()
        if not path.exists():
            raise raw.MissingRawData(f"There is no {path}. {HOW_TO_GET}")
        files = raw_files.open_lgg(path)
        if not raw_files.one_tree(files.names):
            zips = "".join(f"\nPerhaps {n}?" for n in files.names if n.endswith(".zip"))
            raise raw.MissingRawData(
                f"{self.raw_dir} holds no folder TCGA_* with .tif files.{zips}\n"
                f"{HOW_TO_GET}"
            )
        return files

    def bytes_needed(self) -> int:
        """An upper bound of the prepared size: the decoded pixels."""
        return len(raw_files.one_tree(self.files.names)) // 2 * raw_files.SIZE**2 * 4

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        """Reads everything once before a byte is written: volumes, and all faults."""
        slices, bad = raw_files.find_slices(self.files.names)
        self._check_origin(slices)
        index, areas, unreadable = examine(self.files, slices)
        known, unusable = clinical.read_table(
            self.files, sorted({one.patient for one in slices})
        )
        skipped = bad + unreadable + unusable
        if skipped and not self.skip_bad_files:
            raise raw.bad_files(skipped)
        slices = [one for one in slices if one.key in areas]
        if not slices:
            raise raw.bad_files(skipped)
        table = fold_table(slices, areas)
        self.info.metadata.update(self._metadata(slices, areas, table, skipped))
        self.info.metadata["patient_table"] = {
            patient: known[patient] for patient in table if patient in known
        }
        splits = {
            f"fold_{fold}": [one for one in slices if table[one.patient] == fold]
            for fold in sorted(set(table.values()))
        }
        # Still the folder of an unfinished data set: the index appears with the records.
        index.write(
            self.data_dir,
            {name: [one.key for one in members] for name, members in splits.items()},
        )
        return {
            name: self._generate_examples(members, name)
            for name, members in splits.items()
        }

    def _generate_examples(
        self, slices: Sequence[raw_files.Slice], split: str
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, one in enumerate(progress.track(slices, f"Writing {split}")):
            mask = raw_files.read_mask(self.files, one.mask)
            yield (
                place,
                {
                    "image": pixels.encode(raw_files.read_image(self.files, one.image)),
                    "mask": pixels.encode(mask[..., None]),
                    "has_tumour": int(mask.any()),
                    "patient": one.patient,
                    "slice": one.number,
                    "institution": one.institution,
                    "key": one.key,
                },
            )

    def _check_origin(self, slices: Sequence[raw_files.Slice]) -> None:
        """Raises BadFile for synthetic slices among real ones, and real among synthetic."""
        synthetic = self.builder_config.name == "phantom"
        for one in slices:
            if (phantom.MARK in one.patient) != synthetic:
                raise raw.BadFile(
                    f"{one.image} is {'real' if synthetic else 'synthetic'}, so it is "
                    f"not for lgg_mri/{self.builder_config.name}: set --config.data.name "
                    "or --config.data.raw_dir (--config.data.skip_bad_files=True does not "
                    "help here)."
                )

    def _metadata(
        self,
        slices: Sequence[raw_files.Slice],
        areas: dict[str, int],
        table: dict[str, int],
        skipped: list[dict[str, str]],
    ) -> dict[str, Any]:
        synthetic = self.builder_config.name == "phantom"
        return {
            "classes": self.CLASSES,
            "channels": list(self.CHANNELS),
            "task": "segmentation",
            "synthetic": synthetic,
            "source": "datasets/synthetic/phantom.py, synthetic"
            if synthetic
            else SOURCE,
            "licence": LICENCES[self.builder_config.name],
            "patients": len(table),
            "slices": len(slices),
            "tumour_slices": sum(areas[one.key] > 0 for one in slices),
            "institutions": dict(
                Counter(patient.split("_")[1] for patient in table).most_common()
            ),
            "folds": table,
            "fold_rule": FOLD_RULE,
            "leaky": leaky.leaky_splits([one.key for one in slices], SEED),
            "skipped": skipped,
        }


def examine(
    files: raw.Folder | raw.Zip, slices: Sequence[raw_files.Slice]
) -> tuple[data_index.Index, dict[str, int], list[dict[str, str]]]:
    """Reads one slice at a time: the index, mask pixels by key, and the bad files."""
    index = data_index.Index()
    areas: dict[str, int] = {}
    bad: list[dict[str, str]] = []
    for one in progress.track(slices, "Checking slices"):
        try:
            name = one.mask
            mask = raw_files.read_mask(files, name)
            name = one.image
            image = raw_files.read_image(files, name)
        except ValueError as error:
            bad.append({"file": name, "reason": str(error)})
        else:
            areas[one.key] = int((mask > 0).sum())
            index.add(
                one.key,
                image,
                mask,
                patient=one.patient,
                volume=one.patient,
                number=one.number,
            )
    return index, areas, bad


def fold_table(
    slices: Sequence[raw_files.Slice], areas: dict[str, int]
) -> dict[str, int]:
    """Each patient's fold, from where it was scanned and its mask pixels."""
    volumes: Counter[str] = Counter()
    for one in slices:
        volumes[one.patient] += areas[one.key]
    patients = {
        one.patient: folds.Patient(one.institution, volumes[one.patient])
        for one in slices
    }
    return folds.assign_folds(patients, FOLDS, SEED)
