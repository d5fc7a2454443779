"""U-Net (reference system 000) on the LGG data set.

    python main.py --config=configs/unet_lgg.py             our recipe, patient folds
    python main.py --config=configs/unet_lgg.py:cpu         128x128 for two CPU cores
    python main.py --config=configs/unet_lgg.py:phantom     built-in synthetic data
    python main.py --config=configs/unet_lgg.py:published   the reference's own recipe

What each reached, and on which hardware, is in the README.
"""

from ml_collections import ConfigDict

from configs import recipes


def get_config(argument: str = "") -> ConfigDict:
    return recipes.build("unet_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    recipes.segmentation(config)
    config.model.name = "unet"
    config.model.options = {"widths": (32, 64, 128, 256, 512), "bias": False}


def _cpu(config: ConfigDict) -> None:
    _ours(config)
    recipes.cpu(config)
    config.model.options.widths = (16, 32, 64, 128, 256)


def _phantom(config: ConfigDict) -> None:
    _cpu(config)
    recipes.phantom(config)


def _published(config: ConfigDict) -> None:
    """System 000's vanilla U-Net."""
    recipes.system_000(config)
    config.model.name = "unet"


VARIANTS = {"": _ours, "cpu": _cpu, "phantom": _phantom, "published": _published}
