"""A data set of a few random volumes: 16 bits, four channels, each of another size."""

import numpy as np
import tensorflow_datasets as tfds

from datasets import index as data_index

SHAPES = [(5, 8, 9), (7, 6, 10), (3, 9, 8), (6, 8, 8), (5, 10, 6), (4, 7, 7)]
SPLITS = {"fold_0": [0, 1, 2, 3], "fold_1": [4, 5]}


def make_volume(number):
    """Image and mask of labels 1, 2 and 4; the last has none."""
    rng = np.random.default_rng(number)
    shape = SHAPES[number]
    image = rng.integers(-50, 2000, (*shape, 4)).astype(np.int16)
    mask = rng.choice([0, 0, 0, 0, 0, 1, 2, 4], shape).astype(np.uint8)
    return image, mask[..., None] * (number != len(SHAPES) - 1)


class TinyVolumes(tfds.core.GeneratorBasedBuilder):
    """Volumes of random numbers."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="random", description="Noise.")]

    def _info(self):
        features = {
            "image": tfds.features.Tensor(
                shape=(None, None, None, 4), dtype=np.int16, encoding="zlib"
            ),
            "mask": tfds.features.Tensor(
                shape=(None, None, None, 1), dtype=np.uint8, encoding="zlib"
            ),
            "key": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Random volumes.",
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(
                classes={"WT": [1, 2, 4], "TC": [1, 4], "ET": 4},
                painting=[["WT", 2], ["TC", 1], ["ET", 4]],
                channels=["t1", "t1ce", "t2", "flair"],
                folds={
                    f"patient_{number}": fold
                    for fold, members in enumerate(SPLITS.values())
                    for number in members
                },
                synthetic=True,
                leaky={},
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        index = data_index.Index()
        for number in range(len(SHAPES)):
            image, mask = make_volume(number)
            patient = f"patient_{number}"
            index.add(
                patient, image, mask, patient=patient, volume=patient, label=0,
                spacing=(1.0, 1.0, 1.0), affine=np.eye(4),
            )  # fmt: skip
        index.write(
            self.data_dir,
            {
                split: [f"patient_{number}" for number in members]
                for split, members in SPLITS.items()
            },
        )
        return {
            split: self._generate_examples(members) for split, members in SPLITS.items()
        }

    def _generate_examples(self, members):
        for place, number in enumerate(members):
            image, mask = make_volume(number)
            yield place, {"image": image, "mask": mask, "key": f"patient_{number}"}


def build(data_dir):
    tfds.disable_progress_bar()
    builder = TinyVolumes(
        config="random", data_dir=data_dir, file_format="array_record"
    )
    builder.download_and_prepare()
    return "tiny_volumes/random"
