"""A plain CNN (reference system 002) classifies LGG slices: tumour or none.

    python main.py --config=configs/cnn_lgg.py             our recipe, patient folds
    python main.py --config=configs/cnn_lgg.py:cpu         128x128 for two CPU cores
    python main.py --config=configs/cnn_lgg.py:phantom     built-in synthetic data
    python main.py --config=configs/cnn_lgg.py:published   system 002's notebook
    python main.py --config=configs/cnn_lgg.py:module      its module: a larger net

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, reference_classifiers


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("cnn_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.classification(config)
    config.model.name = "cnn"


def _published(config: ConfigDict) -> None:
    """System 002's CNN as in its notebook, for 20 epochs; its text says 100.

    It stopped, and lowered its rate, by the accuracy on its training data; here both go by
    validation data. The rest that is different: system_002 of
    configs/recipes/reference_classifiers.py.
    """
    reference_classifiers.system_002(config)
    config.model.name = "cnn"


def _module(config: ConfigDict) -> None:
    """As in its module instead of its notebook: a softmax of two classes, at 256x256."""
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
