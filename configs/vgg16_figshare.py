"""VGG16 tells three kinds of tumour apart on the figshare slices.

    python main.py --config=configs/vgg16_figshare.py          our recipe, patient folds
    python main.py --config=configs/vgg16_figshare.py:cpu      128x128 for two CPU cores
    python main.py --config=configs/vgg16_figshare.py:phantom  built-in synthetic data

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("vgg16_figshare", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.three_kinds(config)
    ours.pretrained(config)
    config.model.name = "vgg16"


def _from_random_weights(config: ConfigDict) -> None:
    """Kernels wide enough for 13 ReLUs in a row, and a rate that no such net dies of."""
    config.model.options = {"encoder_init": "he_normal"}
    config.schedule.rate = 2e-4


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, ours.wide_phantom, _from_random_weights),
}
