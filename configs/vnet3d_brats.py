"""V-Net (Milletari et al. 2016) on volumes of BraTS 2021.

    python main.py --config=configs/vnet3d_brats.py             our recipe, patient folds
    python main.py --config=configs/vnet3d_brats.py:cpu         small, for two CPU cores
    python main.py --config=configs/vnet3d_brats.py:phantom     built-in synthetic data
    python main.py --config=configs/vnet3d_brats.py:published   system 001's

The V-Net of system 001 is its FCN: configs/fcn3d_brats.py:published is of both.

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("vnet3d_brats", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.volumes(config)
    config.model.name = "vnet3d"
    config.model.options = {"widths": (16, 32, 64, 128, 256), "norm": "instance"}


def _published(config: ConfigDict) -> None:
    """The V-Net by system 001's recipe.

    Its own V-Net is its FCN under another name: configs/fcn3d_brats.py:published.

    What is different: configs/recipes/references.py, system_001.
    """
    references.system_001(config)
    config.model.name = "vnet3d"


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.volumes_cpu),
    "phantom": pieces.chain(_ours, pieces.volumes_cpu, pieces.volumes_phantom),
    "published": _published,
}
