"""U-Net (Ronneberger et al. 2015) on your own pictures with masks: docs/own_data.md.

    python main.py --config=configs/unet_folder.py           256x256, for a GPU
    python main.py --config=configs/unet_folder.py:cpu       128x128 for two CPU cores
    python main.py --config=configs/unet_folder.py:phantom   built-in synthetic data

The first two need to be told where the pictures are and whose they are.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("unet_folder", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)
    config.data.name = "folder/mine"
    config.model.name = "unet"
    config.model.options = {"widths": (32, 64, 128, 256, 512), "bias": False}


def _cpu(config: ConfigDict) -> None:
    _ours(config)
    pieces.cpu(config)
    config.model.options.widths = (16, 32, 64, 128, 256)


def _phantom(config: ConfigDict) -> None:
    _cpu(config)
    pieces.phantom(config)
    config.data.name = "folder/phantom_pairs"
    config.data.folder.patient = "^(?P<patient>[^_]+)_"


VARIANTS = {"": _ours, "cpu": _cpu, "phantom": _phantom}
