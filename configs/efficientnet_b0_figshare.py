"""EfficientNetB0 tells three kinds of tumour apart on the figshare slices.

    python main.py --config=configs/efficientnet_b0_figshare.py          our recipe
    python main.py --config=configs/efficientnet_b0_figshare.py:cpu      on two cores
    python main.py --config=configs/efficientnet_b0_figshare.py:phantom  synthetic

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("efficientnet_b0_figshare", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.three_kinds(config)
    ours.pretrained(config)
    config.model.name = "efficientnet_b0"


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "phantom": pieces.chain(_ours, ours.wide_phantom),
}
