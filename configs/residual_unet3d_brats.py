"""Our residual U-Net, of nnU-Net's kind, on volumes of BraTS 2021.

    python main.py --config=configs/residual_unet3d_brats.py            a GPU, not tried yet
    python main.py --config=configs/residual_unet3d_brats.py:labels     a softmax of labels
    python main.py --config=configs/residual_unet3d_brats.py:cpu        for two CPU cores
    python main.py --config=configs/residual_unet3d_brats.py:phantom    synthetic data

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("residual_unet3d_brats", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.volumes(config)
    config.model.name = "residual_unet3d"
    config.model.options = {
        "widths": (32, 64, 128, 256, 320, 320),
        "repeats": (1, 2, 2, 2, 2, 2),
        "deep_supervision": True,
    }


def _labels(config: ConfigDict) -> None:
    """Each label against the others, to compare with regions: the same are scored."""
    _ours(config)
    config.task.exclusive = True
    config.task.targets = "labels"


def _cpu(config: ConfigDict) -> None:
    _ours(config)
    pieces.volumes_cpu(config)
    config.model.options.widths = (8, 16, 32, 64, 80)
    config.model.options.repeats = (1,)


VARIANTS = {
    "": _ours,
    "labels": _labels,
    "cpu": _cpu,
    "phantom": pieces.chain(_cpu, pieces.volumes_phantom),
}
