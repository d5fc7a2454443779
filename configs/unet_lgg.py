"""U-Net (Ronneberger et al. 2015) on the LGG data set, in the forms of the references.

    python main.py --config=configs/unet_lgg.py             our recipe, patient folds
    python main.py --config=configs/unet_lgg.py:cpu         128x128 for two CPU cores
    python main.py --config=configs/unet_lgg.py:phantom     built-in synthetic data
    python main.py --config=configs/unet_lgg.py:published   system 000's net and recipe
    python main.py --config=configs/unet_lgg.py:system_004  system 004's U-Net
    python main.py --config=configs/unet_lgg.py:dropout     its U-Net with dropout
    python main.py --config=configs/unet_lgg.py:adityajn105 the parent of system 004
    python main.py --config=configs/unet_lgg.py:buda        Buda et al. 2019

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references

NARROW = (16, 32, 64, 128, 256)


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("unet_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)
    config.model.name = "unet"
    config.model.options = {"widths": (32, 64, 128, 256, 512), "bias": False}


def _cpu(config: ConfigDict) -> None:
    _ours(config)
    pieces.cpu(config)
    config.model.options.widths = NARROW


def _published(config: ConfigDict) -> None:
    """System 000's vanilla U-Net.

    A reconstruction: its notebook cannot be read. The blocks are those of the author's
    ResNet50-UANet, the widths those of Ronneberger et al. What else is different:
    configs/recipes/references.py, system_000.
    """
    references.system_000(config)
    config.model.name = "unet"


def _system_004(config: ConfigDict) -> None:
    """System 004's U-Net by its recipe; on its own data: configs/unet_figshare.py.

    Bilinear upsampling as in its code; its text says transposed convolutions. It held out
    30 % of the slices, where its other nets held out 20 %. What else is different:
    configs/recipes/references.py, system_004.
    """
    references.system_004(config)
    config.model.name = "unet"
    config.model.options = {"widths": NARROW, "bias": False, "upsampling": "linear"}


def _dropout(config: ConfigDict) -> None:
    """The U-Net of a module that system 004 never used, by the recipe of its other nets."""
    references.system_004(config)
    config.model.name = "unet"
    config.model.options = {
        "widths": NARROW,
        "norm": "none",
        "kernel_init": "he_normal",
        "dropout": (0.1, 0.1, 0.2, 0.2, 0.3),
    }


def _adityajn105(config: ConfigDict) -> None:
    """The U-Net of system 004's parent by its recipe.

    On its own data: configs/unet_figshare.py.
    What is different: configs/recipes/references.py, adityajn105.
    """
    references.adityajn105(config)
    config.model.name = "unet"
    config.model.options = {
        "widths": (64, 128, 256, 512, 512),
        "norm": "none",
        "kernel_init": "he_normal",
        "upsampling": "transposed_3",
        "pooled_momentum": 0.8,
        "joined_dropout": 0.1,
    }


def _buda(config: ConfigDict) -> None:
    references.buda(config)
    config.model.name = "unet"
    config.model.options = {
        "widths": (32, 64, 128, 256, 512),
        "kernel_init": "pytorch_uniform",
        "bias": False,
        "momentum": 0.9,
        "epsilon": 1e-5,
    }


VARIANTS = {
    "": _ours,
    "cpu": _cpu,
    "phantom": pieces.chain(_cpu, pieces.phantom),
    "published": _published,
    "system_004": _system_004,
    "dropout": _dropout,
    "adityajn105": _adityajn105,
    "buda": _buda,
}
