"""3D Attention U-Net (reference system 001) on volumes of BraTS 2021.

    python main.py --config=configs/attention_unet3d_brats.py            our recipe
    python main.py --config=configs/attention_unet3d_brats.py:cpu        for two CPU cores
    python main.py --config=configs/attention_unet3d_brats.py:phantom    synthetic data
    python main.py --config=configs/attention_unet3d_brats.py:published  system 001's

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("attention_unet3d_brats", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.volumes(config)
    config.model.name = "attention_unet3d"
    config.model.options = {
        "widths": (32, 64, 128, 256),
        "norm": "instance",
        "gate_norm": "instance",
    }


def _published(config: ConfigDict) -> None:
    """System 001's Attention U-Net by its recipe; a softmax, where theirs has sigmoids.

    What is different: configs/recipes/references.py, system_001.
    """
    references.system_001(config)
    config.model.name = "attention_unet3d"
    config.model.options = {"gated": "decoder"}


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.volumes_cpu),
    "phantom": pieces.chain(_ours, pieces.volumes_cpu, pieces.volumes_phantom),
    "published": _published,
}
