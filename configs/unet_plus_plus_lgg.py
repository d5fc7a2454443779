"""U-Net++ (reference system 004, with the skips that it left out) on the LGG data set.

    python main.py --config=configs/unet_plus_plus_lgg.py            our recipe
    python main.py --config=configs/unet_plus_plus_lgg.py:cpu        128x128 for two cores
    python main.py --config=configs/unet_plus_plus_lgg.py:phantom    built-in synthetic data
    python main.py --config=configs/unet_plus_plus_lgg.py:published  the reference's

What each reached, and on which hardware, is in the README.
"""

from ml_collections import ConfigDict

from configs import recipes


def get_config(argument: str = "") -> ConfigDict:
    return recipes.build("unet_plus_plus_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    recipes.segmentation(config)
    config.model.name = "unet_plus_plus"
    config.model.options = {"deep_supervision": True}


def _cpu(config: ConfigDict) -> None:
    _ours(config)
    recipes.cpu(config)


def _phantom(config: ConfigDict) -> None:
    _cpu(config)
    recipes.phantom(config)


def _published(config: ConfigDict) -> None:
    """System 004's recipe; its net had no skips, its data were others."""
    recipes.system_004(config)
    config.model.name = "unet_plus_plus"


VARIANTS = {"": _ours, "cpu": _cpu, "phantom": _phantom, "published": _published}
