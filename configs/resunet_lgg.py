"""ResUNet (reference systems 002 and 003) on the LGG data set.

    python main.py --config=configs/resunet_lgg.py             our recipe, patient folds
    python main.py --config=configs/resunet_lgg.py:cpu         128x128 for two CPU cores
    python main.py --config=configs/resunet_lgg.py:phantom     built-in synthetic data
    python main.py --config=configs/resunet_lgg.py:published   the reference's own recipe

What each reached, and on which hardware, is in the README.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(argument: str = "") -> ConfigDict:
    if argument not in VARIANTS:
        raise ValueError(
            f"No variant {argument!r} of resunet_lgg; there are "
            f"{', '.join(filter(None, VARIANTS))}, or none for our recipe."
        )
    config = base.get_config()
    with config.unlocked():
        VARIANTS[argument](config)
    return config


def _ours(config: ConfigDict) -> None:
    config.losses = {"dice": {"weight": 1.0}, "cross_entropy": {"weight": 1.0}}
    config.data.tumour_share = 0.5
    config.schedule.rate = 2e-3
    config.schedule.warmup_steps = 100
    config.optimizer.weight_decay = 0.01
    config.ema_decay = 0.999
    config.augment.rotation = 20.0
    config.augment.shift = 0.06
    config.augment.scale = 0.15
    config.augment.shear = 5.0
    config.augment.gamma = 0.15
    config.augment.contrast = 0.2
    config.augment.brightness = 0.2
    config.augment.noise = 0.05
    config.evaluation.mirror = ("horizontal",)


def _cpu(config: ConfigDict) -> None:
    """At most 45 minutes on two cores."""
    _ours(config)
    config.data.size = (128, 128)
    config.epochs = 64
    config.evaluation.every_epochs = 4


def _phantom(config: ConfigDict) -> None:
    """The demo: synthetic heads, minutes on two cores. Says nothing of real MRI."""
    _ours(config)
    config.data.name = "lgg_mri/phantom"
    config.data.size = (128, 128)
    config.epochs = 28
    config.evaluation.every_epochs = 2


def _published(config: ConfigDict) -> None:
    """Systems 002 and 003: tumour slices only, and slices of a patient on both sides.

    The scores of such a split say nothing of new patients. Their loss sums over the batch;
    here it is computed per image. They drew 1,167, 103 and 103 tumour slices; the leaky
    splits here are those of system 000, of which the tumour slices are used.
    """
    config.data.train = "leaky_train"
    config.data.validation = "leaky_validation"
    config.data.test = "leaky_test"
    config.data.only_tumour = True
    config.data.normalisation = {"name": "image_standard"}
    config.epochs = 60
    config.optimizer.name = "keras_adam"
    config.optimizer.eps = 0.1
    config.optimizer.clip = 0.0
    config.schedule.name = "constant"
    config.schedule.rate = 0.05
    config.augment.probability = 0.0
    config.evaluation.metric = "loss"
    config.evaluation.mode = "min"
    config.evaluation.patience = 20


VARIANTS = {"": _ours, "cpu": _cpu, "phantom": _phantom, "published": _published}
