"""U-Net++ on the LGG data set: with its skips, or as reference system 004 had it.

    python main.py --config=configs/unet_plus_plus_lgg.py            our recipe
    python main.py --config=configs/unet_plus_plus_lgg.py:cpu        128x128 for two cores
    python main.py --config=configs/unet_plus_plus_lgg.py:phantom    built-in synthetic data
    python main.py --config=configs/unet_plus_plus_lgg.py:published  system 004's: no skips
    python main.py --config=configs/unet_plus_plus_lgg.py:vgg16      on VGG16
    python main.py --config=configs/unet_plus_plus_lgg.py:b0         on EfficientNetB0

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("unet_plus_plus_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)
    config.model.name = "unet_plus_plus"
    config.model.options = {"deep_supervision": True}


def _published(config: ConfigDict) -> None:
    """System 004's net, which had no skips, and its recipe.

    On its own data: configs/unet_plus_plus_figshare.py.
    """
    references.system_004(config)
    config.model.name = "unet_plus_plus"
    config.model.options = {"skips": False}


def _vgg16(config: ConfigDict) -> None:
    """Our recipe on an encoder with ImageNet weights, as system 004's README promises."""
    _ours(config)
    ours.pretrained(config)
    config.model.options.encoder = "vgg16"
    config.model.options.widths = (16, 32, 64, 128)


def _b0(config: ConfigDict) -> None:
    _vgg16(config)
    config.model.options.encoder = "efficientnet_b0"


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, pieces.phantom),
    "published": _published,
    "vgg16": _vgg16,
    "b0": _b0,
}
