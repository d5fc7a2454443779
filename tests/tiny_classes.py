"""A data set of a few random pictures of two classes, without masks."""

import numpy as np
import tensorflow_datasets as tfds

from datasets import index as data_index
from datasets import pixels

CLASSES = ("cyst", "tumour")
SPLITS = {"fold_0": [0, 1, 2], "fold_1": [3, 4]}  # even numbers are cysts


class TinyClasses(tfds.core.GeneratorBasedBuilder):
    """Pictures of random numbers."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="random", description="Noise.")]

    def _info(self):
        features = {
            "image": pixels.feature((20, 24, 1), np.uint8),
            "label": tfds.features.ClassLabel(names=list(CLASSES)),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Random pictures.",
            features=tfds.features.FeaturesDict(features),
            metadata=tfds.core.MetadataDict(
                classes={},
                channels=["T1"],
                folds={
                    f"p{n}": k for k, own in enumerate(SPLITS.values()) for n in own
                },
                synthetic=True,
                leaky={},
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        index = data_index.Index()
        for number in sum(SPLITS.values(), []):
            image = make_picture(number)
            index.add(
                f"p{number}", image, np.zeros(image.shape[:-1]), patient=f"p{number}",
                volume=f"p{number}", label=number % 2,
            )  # fmt: skip
        keys = {
            split: [f"p{number}" for number in own] for split, own in SPLITS.items()
        }
        index.write(self.data_dir, keys)
        return {split: self._generate_examples(own) for split, own in SPLITS.items()}

    def _generate_examples(self, members):
        for place, number in enumerate(members):
            image = pixels.encode(make_picture(number))
            yield place, {"image": image, "label": number % 2}


def make_picture(number):
    return np.random.default_rng(number).integers(0, 255, (20, 24, 1)).astype(np.uint8)


def build(data_dir):
    tfds.disable_progress_bar()
    TinyClasses(
        config="random", data_dir=data_dir, file_format="array_record"
    ).download_and_prepare()
    return "tiny_classes/random"
