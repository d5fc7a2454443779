"""ResNet50 (reference systems 002, 003) classifies LGG slices: tumour or none.

    python main.py --config=configs/resnet50_lgg.py            our recipe, fine-tuned
    python main.py --config=configs/resnet50_lgg.py:cpu        128x128 for two cores
    python main.py --config=configs/resnet50_lgg.py:published  system 002, fully trained
    python main.py --config=configs/resnet50_lgg.py:deployed   system 002, partly frozen
    python main.py --config=configs/resnet50_lgg.py:system_003 system 003

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, reference_classifiers


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("resnet50_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.classification(config)
    ours.pretrained(config)
    config.model.name = "resnet50"


def _published(config: ConfigDict) -> None:
    """System 002's ResNet50 as in its notebook: meant to be frozen, but every layer trains.

    What is different: configs/recipes/reference_classifiers.py, system_002.
    """
    reference_classifiers.system_002(config)
    config.task.exclusive = True
    config.data.size = (256, 256)
    config.epochs = 100
    config.model.name = "resnet50"
    config.model.encoder_weights = "imagenet"


def _deployed(config: ConfigDict) -> None:
    """System 002's deployed ResNet50: frozen up to the end of its second stage."""
    _published(config)
    config.model.frozen_up_to = "encoder/conv2_block3"
    config.model.options = {"hidden": (512, 256, 256), "dropout": (0.4, 0.4, 0.3)}


def _system_003(config: ConfigDict) -> None:
    """System 003's ResNet50: meant to be frozen, but every layer trains.

    What is different: configs/recipes/reference_classifiers.py, system_003.
    """
    reference_classifiers.system_003(config)
    config.model.name = "resnet50"
    config.model.encoder_weights = "imagenet"
    config.model.options = {"hidden": (256, 256)}


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "published": _published,
    "deployed": _deployed,
    "system_003": _system_003,
}
