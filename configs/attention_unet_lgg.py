"""Attention U-Net (reference system 004) on the LGG data set.

    python main.py --config=configs/attention_unet_lgg.py            our recipe
    python main.py --config=configs/attention_unet_lgg.py:cpu        128x128 for two cores
    python main.py --config=configs/attention_unet_lgg.py:phantom    built-in synthetic data
    python main.py --config=configs/attention_unet_lgg.py:published  system 004's
    python main.py --config=configs/attention_unet_lgg.py:vgg16      on VGG16
    python main.py --config=configs/attention_unet_lgg.py:b0         on EfficientNetB0

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("attention_unet_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)
    config.model.name = "attention_unet"
    config.model.options = {"widths": (32, 64, 128, 256, 512)}


def _cpu(config: ConfigDict) -> None:
    _ours(config)
    pieces.cpu(config)
    config.model.options.widths = (16, 32, 64, 128, 256)


def _published(config: ConfigDict) -> None:
    """System 004's Attention U-Net by its recipe.

    On its own data: configs/attention_unet_figshare.py.
    What is different, and where its text differs from its code:
    configs/recipes/references.py, system_004.
    """
    references.system_004(config)
    config.model.name = "attention_unet"


def _vgg16(config: ConfigDict) -> None:
    """Our recipe on an encoder with ImageNet weights, as system 004's README promises."""
    _ours(config)
    ours.pretrained(config)
    config.model.options = {"encoder": "vgg16", "widths": (16, 32, 64, 128)}


def _b0(config: ConfigDict) -> None:
    _vgg16(config)
    config.model.options.encoder = "efficientnet_b0"


VARIANTS = {
    "": _ours,
    "cpu": _cpu,
    "phantom": pieces.chain(_cpu, pieces.phantom),
    "published": _published,
    "vgg16": _vgg16,
    "b0": _b0,
}
