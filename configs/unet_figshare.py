"""U-Net segments the tumours of the figshare slices, of whichever kind or kind by kind.

    python main.py --config=configs/unet_figshare.py              one tumour class
    python main.py --config=configs/unet_figshare.py:cpu          128x128 for two CPU cores
    python main.py --config=configs/unet_figshare.py:phantom      built-in synthetic data
    python main.py --config=configs/unet_figshare.py:kinds        background + three kinds
    python main.py --config=configs/unet_figshare.py:kinds_cpu    the same at 128x128
    python main.py --config=configs/unet_figshare.py:kinds_phantom  on synthetic data
    python main.py --config=configs/unet_figshare.py:system_004   system 004's U-Net
    python main.py --config=configs/unet_figshare.py:dropout      its U-Net with dropout
    python main.py --config=configs/unet_figshare.py:adityajn105  the parent of system 004

What differs from the last three's own: configs/recipes/references.py.

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs import unet_lgg
from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("unet_figshare", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)
    ours.figshare(config)
    config.task.foreground = "tumour"
    config.model.name = "unet"
    config.model.options = {"widths": (32, 64, 128, 256, 512), "bias": False}


def _kinds(config: ConfigDict) -> None:
    """Background and three kinds share a softmax; a patient is scored by its own kind.

    A patient lacks the two other kinds. In the scores of all classes they are left out
    where they are not predicted either: counted as 1 they would raise every mean.
    """
    _ours(config)
    config.task.foreground = ""
    config.task.exclusive = True
    config.evaluation.metric = "patient_dice_of_own_class"
    config.evaluation.empty = "nan"


def _narrow(config: ConfigDict) -> None:
    config.model.options.widths = (16, 32, 64, 128, 256)


def _system_004(config: ConfigDict) -> None:
    """System 004's U-Net on its own data, of which it held out 30 %."""
    unet_lgg.VARIANTS["system_004"](config)
    pieces.leaky_figshare(config, 30)


def _dropout(config: ConfigDict) -> None:
    """The U-Net that system 004 never used, on the split of its other nets."""
    unet_lgg.VARIANTS["dropout"](config)
    pieces.leaky_figshare(config, 20)


def _adityajn105(config: ConfigDict) -> None:
    unet_lgg.VARIANTS["adityajn105"](config)
    pieces.leaky_figshare(config, 20)


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu, _narrow),
    "phantom": pieces.chain(_ours, pieces.figshare_phantom, _narrow),
    "kinds": _kinds,
    "kinds_cpu": pieces.chain(_kinds, pieces.cpu, _narrow),
    "kinds_phantom": pieces.chain(_kinds, pieces.figshare_phantom, _narrow),
    "system_004": _system_004,
    "dropout": _dropout,
    "adityajn105": _adityajn105,
}
