"""A plain CNN on your own pictures in a folder for each class: docs/own_data.md.

    python main.py --config=configs/cnn_folder.py               224x224, for a GPU
    python main.py --config=configs/cnn_folder.py:cpu           128x128 for two CPU cores
    python main.py --config=configs/cnn_folder.py:four_classes  the set of system 004
    python main.py --config=configs/cnn_folder.py:phantom       built-in synthetic data

All but the last need to be told where the pictures are, the first two whose they are and
what the folders are called.
"""

from ml_collections import ConfigDict

from configs.recipes import folders, ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("cnn_folder", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    """For classes that exclude each other, of which a patient may have several or one."""
    ours.classification(config)
    config.model.name = "cnn"
    # Nothing is normalised within it: of wider values its first losses are so large that
    # its hidden layer dies.
    config.data.normalisation = {"name": "unit"}
    config.task.exclusive = True
    config.evaluation.metric = "slice_balanced_accuracy"
    config.data.name = "folder/mine"
    config.data.folder.layout = "classes"
    config.data.folder.labels = ("no", "yes")


def _phantom(config: ConfigDict) -> None:
    _ours(config)
    pieces.phantom(config)
    folders.phantom_classes(config)
    config.epochs = 60


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "four_classes": pieces.chain(_ours, folders.four_classes),
    "phantom": _phantom,
}
