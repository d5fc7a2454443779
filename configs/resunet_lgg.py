"""ResUNet (reference systems 002 and 003) on the LGG data set.

    python main.py --config=configs/resunet_lgg.py             our recipe, patient folds
    python main.py --config=configs/resunet_lgg.py:cpu         128x128 for two CPU cores
    python main.py --config=configs/resunet_lgg.py:phantom     built-in synthetic data
    python main.py --config=configs/resunet_lgg.py:published   the reference's own recipe

The README lists which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("resunet_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)


def _published(config: ConfigDict) -> None:
    """Systems 002 and 003: tumour slices only, and slices of a patient on both sides.

    Their loss sums over the batch; here it is computed per image. They drew 1,167, 103 and
    103 tumour slices; the leaky splits here are those of system 000, of which the tumour
    slices are used. They trained for an epoch and went on to weights of unknown origin;
    here it is 60 epochs, or fewer by their patience of 20.
    """
    pieces.leaky(config)
    pieces.keras_adam(config, 0.05)
    pieces.watch_loss(config, 20)
    config.optimizer.eps = 0.1
    config.data.only_tumour = True
    config.data.normalisation = {"name": "image_standard"}
    config.epochs = 60


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, pieces.phantom),
    "published": _published,
}
