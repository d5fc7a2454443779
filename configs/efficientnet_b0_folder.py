"""EfficientNetB0 (reference system 004) on pictures in a folder for each class.

    python main.py --config=configs/efficientnet_b0_folder.py            our recipe
    python main.py --config=configs/efficientnet_b0_folder.py:cpu        on two cores
    python main.py --config=configs/efficientnet_b0_folder.py:published  system 004's
    python main.py --config=configs/efficientnet_b0_folder.py:phantom    synthetic

All but the last, which has three kinds of tumour, are of the four classes of system 004;
docs/own_data.md says how to name others.
"""

from ml_collections import ConfigDict

from configs.recipes import folders, ours, pieces, reference_classifiers


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("efficientnet_b0_folder", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    folders.four_classes(config)
    ours.classification(config)
    ours.pretrained(config)
    config.task.exclusive = True
    config.evaluation.metric = "slice_balanced_accuracy"
    config.model.name = "efficientnet_b0"


def _published(config: ConfigDict) -> None:
    """System 004's classifier on its own data.

    It held out a tenth of the slices, then a tenth of the rest for validation; here half of
    a tenth is for each. Images and best epoch: configs/recipes/reference_classifiers.py,
    system_004_classifier.
    """
    reference_classifiers.system_004_classifier(config)
    folders.four_classes(config)
    config.model.name = "efficientnet_b0"
    config.model.encoder_weights = "imagenet"


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "published": _published,
    "phantom": pieces.chain(_ours, ours.wide_phantom, folders.phantom_classes),
}
