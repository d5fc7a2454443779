"""VGG16 (reference systems 002, 004) classifies LGG slices: tumour or none.

    python main.py --config=configs/vgg16_lgg.py            our recipe, fine-tuned
    python main.py --config=configs/vgg16_lgg.py:cpu        128x128 for two cores
    python main.py --config=configs/vgg16_lgg.py:published  system 002's model 1
    python main.py --config=configs/vgg16_lgg.py:frozen     its model 2, frozen
    python main.py --config=configs/vgg16_lgg.py:system_004 system 004's

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, reference_classifiers


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("vgg16_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.classification(config)
    ours.pretrained(config)
    config.model.name = "vgg16"


def _published(config: ConfigDict) -> None:
    """System 002's model 1: meant to be frozen, but every layer trains.

    20 epochs as in its code; its text says 100. What is different:
    configs/recipes/reference_classifiers.py, system_002.
    """
    reference_classifiers.system_002(config)
    config.model.name = "vgg16"
    config.model.encoder_weights = "imagenet"


def _frozen(config: ConfigDict) -> None:
    """System 002's model 2, its encoder frozen, as in its module: a softmax of two classes.

    Its notebook, for 20 epochs, where its text says 100, had model 1's head and sigmoid. It
    stopped, and lowered its rate, by the accuracy on its training data; here both go by
    validation data.
    """
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
    """System 004's VGG16, for two classes; its own were four. It shows no run of it.

    What is different: configs/recipes/reference_classifiers.py, system_004_classifier.
    """
    reference_classifiers.system_004_classifier(config)
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
