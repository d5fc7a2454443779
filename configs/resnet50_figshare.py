"""ResNet50 tells three kinds of tumour apart on the figshare slices.

    python main.py --config=configs/resnet50_figshare.py          our recipe, patient folds
    python main.py --config=configs/resnet50_figshare.py:cpu      128x128 for two CPU cores
    python main.py --config=configs/resnet50_figshare.py:phantom  built-in synthetic data

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("resnet50_figshare", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.three_kinds(config)
    ours.pretrained(config)
    config.model.name = "resnet50"


def _pooled(config: ConfigDict) -> None:
    """Of 64x64 pixels its head's own pooling, of 4x4 features, would leave nothing."""
    config.model.options = {"pool": "global"}


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, ours.wide_phantom, _pooled),
}
