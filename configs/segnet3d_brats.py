"""3D SegNet (reference system 001) on volumes of BraTS 2021.

    python main.py --config=configs/segnet3d_brats.py             our recipe, patient folds
    python main.py --config=configs/segnet3d_brats.py:cpu         small, for two CPU cores
    python main.py --config=configs/segnet3d_brats.py:phantom     built-in synthetic data
    python main.py --config=configs/segnet3d_brats.py:published   system 001's

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("segnet3d_brats", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.volumes(config)
    config.model.name = "segnet3d"
    config.model.options = {"widths": (32, 64, 128, 256), "norm": "instance"}


def _published(config: ConfigDict) -> None:
    """System 001's SegNet by its recipe.

    What is different: configs/recipes/references.py, system_001.
    """
    references.system_001(config)
    config.model.name = "segnet3d"
    config.model.options = {
        "unpool": "nearest",
        "norm": "none",
        "decoder_repeats": (2, 2, 2, 3),
    }


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.volumes_cpu),
    "phantom": pieces.chain(_ours, pieces.volumes_cpu, pieces.volumes_phantom),
    "published": _published,
}
