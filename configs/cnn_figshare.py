"""A plain CNN tells three kinds of tumour apart on the figshare slices.

    python main.py --config=configs/cnn_figshare.py          our recipe, patient folds
    python main.py --config=configs/cnn_figshare.py:cpu      128x128 for two CPU cores
    python main.py --config=configs/cnn_figshare.py:phantom  built-in synthetic data

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("cnn_figshare", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.three_kinds(config)
    config.model.name = "cnn"
    # As for class folders: of wider values its hidden layer dies.
    config.data.normalisation = {"name": "volume_unit"}


def _phantom(config: ConfigDict) -> None:
    _ours(config)
    pieces.figshare_phantom(config)
    config.epochs = 60


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": _phantom,
}
