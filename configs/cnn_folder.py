"""A plain CNN on your own pictures in a folder for each class: docs/own_data.md.

    python main.py --config=configs/cnn_folder.py            the four classes of system 004
    python main.py --config=configs/cnn_folder.py:cpu        at 128x128, for two CPU cores
    python main.py --config=configs/cnn_folder.py:phantom    built-in synthetic data

The four classes are JPEGs that lie in Training and Testing, without a word of whose they
are: slices of a patient may be on both sides of every split, and each table says so.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces

FOUR = ("glioma_tumor", "no_tumor", "meningioma_tumor", "pituitary_tumor")


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("cnn_folder", VARIANTS, argument)


def _classes(config: ConfigDict) -> None:
    """Our recipe, for classes that exclude each other."""
    ours.classification(config)
    config.model.name = "cnn"
    config.task.exclusive = True
    config.evaluation.metric = "slice_balanced_accuracy"
    config.data.folder.layout = "classes"


def _four(config: ConfigDict) -> None:
    _classes(config)
    config.data.name = "folder/four_classes"
    config.data.folder.channels = ("red", "green", "blue")
    config.data.folder.labels = FOUR
    config.data.folder.one_patient_per_file = True


def _phantom(config: ConfigDict) -> None:
    _classes(config)
    pieces.phantom(config)
    config.data.name = "folder/phantom_classes"
    config.data.folder.labels = ("meningioma", "glioma", "pituitary")
    config.data.folder.patient = "(?P<patient>[^/_]+)_[^/]*$"


VARIANTS = {"": _four, "cpu": pieces.chain(_four, pieces.cpu), "phantom": _phantom}
