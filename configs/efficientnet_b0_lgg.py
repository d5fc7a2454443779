"""EfficientNetB0 (reference system 004) classifies LGG slices: tumour or none.

    python main.py --config=configs/efficientnet_b0_lgg.py            our recipe
    python main.py --config=configs/efficientnet_b0_lgg.py:cpu        on two cores
    python main.py --config=configs/efficientnet_b0_lgg.py:published  system 004's

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, reference_classifiers


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("efficientnet_b0_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.classification(config)
    ours.pretrained(config)
    config.model.name = "efficientnet_b0"


def _published(config: ConfigDict) -> None:
    """System 004's classifier, for two classes; its own were four, of other data.

    What else is different: configs/recipes/reference_classifiers.py, system_004_classifier.
    """
    reference_classifiers.system_004_classifier(config)
    config.model.name = "efficientnet_b0"
    config.model.encoder_weights = "imagenet"


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "published": _published,
}
