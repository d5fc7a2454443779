"""Attention U-Net of system 004 on its own data, the figshare slices.

    python main.py --config=configs/attention_unet_figshare.py:published  system 004's
    python main.py --config=configs/attention_unet_figshare.py            our recipe
    python main.py --config=configs/attention_unet_figshare.py:cpu        on two cores
    python main.py --config=configs/attention_unet_figshare.py:phantom    synthetic

What differs from system 004's own: configs/recipes/references.py.

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs import attention_unet_lgg
from configs.recipes import ours, pieces


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("attention_unet_figshare", VARIANTS, argument)


def _of_tumours(config: ConfigDict) -> None:
    ours.figshare(config)
    config.task.foreground = "tumour"


def _published(config: ConfigDict) -> None:
    """System 004's net by its recipe; it held out 20 % of the slices."""
    attention_unet_lgg.VARIANTS["published"](config)
    pieces.leaky_figshare(config, 20)


VARIANTS = {
    "": pieces.chain(attention_unet_lgg.VARIANTS[""], _of_tumours),
    "cpu": pieces.chain(attention_unet_lgg.VARIANTS["cpu"], _of_tumours),
    "phantom": pieces.chain(
        attention_unet_lgg.VARIANTS["cpu"], _of_tumours, pieces.figshare_phantom
    ),
    "published": _published,
}
