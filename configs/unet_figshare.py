"""U-Net segments the tumours of the figshare slices, of whichever kind or kind by kind.

    python main.py --config=configs/unet_figshare.py              one tumour class
    python main.py --config=configs/unet_figshare.py:cpu          128x128 for two CPU cores
    python main.py --config=configs/unet_figshare.py:phantom      built-in synthetic data
    python main.py --config=configs/unet_figshare.py:kinds        background + three kinds
    python main.py --config=configs/unet_figshare.py:kinds_cpu    the same at 128x128
    python main.py --config=configs/unet_figshare.py:kinds_phantom  on synthetic data

None of these was run to its end yet.
"""

from ml_collections import ConfigDict

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
    """Background and three kinds share a softmax; a patient is scored on its own kind.

    A patient lacks the two other kinds. Where they are not predicted either, they are left
    out of its score: counted as 1 they would raise every mean.
    """
    _ours(config)
    config.task.foreground = ""
    config.task.exclusive = True
    config.evaluation.empty = "nan"


def _narrow(config: ConfigDict) -> None:
    config.model.options.widths = (16, 32, 64, 128, 256)


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu, _narrow),
    "phantom": pieces.chain(_ours, pieces.figshare_phantom, _narrow),
    "kinds": _kinds,
    "kinds_cpu": pieces.chain(_kinds, pieces.cpu, _narrow),
    "kinds_phantom": pieces.chain(_kinds, pieces.figshare_phantom, _narrow),
}
