"""A plain CNN (reference system 002) that tells slices of the LGG data set with tumour.

    python main.py --config=configs/cnn_lgg.py             our recipe, patient folds
    python main.py --config=configs/cnn_lgg.py:cpu         128x128 for two CPU cores
    python main.py --config=configs/cnn_lgg.py:phantom     built-in synthetic data
    python main.py --config=configs/cnn_lgg.py:published   the reference's own recipe
    python main.py --config=configs/cnn_lgg.py:module      its larger one, of two outputs

The README lists which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("cnn_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.classification(config)
    config.model.name = "cnn"


def _published(config: ConfigDict) -> None:
    references.system_002(config)
    config.model.name = "cnn"


def _module(config: ConfigDict) -> None:
    """As in its module instead of its notebook: a softmax of two classes, 256x256."""
    _published(config)
    config.task.exclusive = True
    config.data.size = (256, 256)


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, pieces.phantom),
    "published": _published,
    "module": _module,
}
