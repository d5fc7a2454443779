"""VGG16 (reference systems 002, 004) tells slices of the LGG data set with tumour.

    python main.py --config=configs/vgg16_lgg.py            our recipe, fine-tuned
    python main.py --config=configs/vgg16_lgg.py:cpu        128x128 for two cores
    python main.py --config=configs/vgg16_lgg.py:published  its model 1, fully trained
    python main.py --config=configs/vgg16_lgg.py:frozen     its model 2, frozen
    python main.py --config=configs/vgg16_lgg.py:system_004 system 004's

The README lists which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("vgg16_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.classification(config)
    ours.pretrained(config)
    config.model.name = "vgg16"


def _published(config: ConfigDict) -> None:
    """Model 1: meant to be frozen, but every layer trained."""
    references.system_002(config)
    config.model.name = "vgg16"
    config.model.encoder_weights = "imagenet"


def _frozen(config: ConfigDict) -> None:
    """Model 2, as in its module: a softmax of two classes."""
    _published(config)
    config.task.exclusive = True
    config.model.frozen = ("encoder",)
    config.model.options = {
        "pool": 4,
        "hidden": (512, 256, 128),
        "dropout": (0.3, 0.1, 0.0),
        "head_init": "glorot_uniform",
    }


def _system_004(config: ConfigDict) -> None:
    """Its head and recipe for four kinds of images, never run; here they are two."""
    references.system_004_classifier(config)
    config.model.name = "vgg16"
    config.model.encoder_weights = "imagenet"
    config.model.options = {"pool": "global", "hidden": (), "dropout_before": 0.5}


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "published": _published,
    "frozen": _frozen,
    "system_004": _system_004,
}
