"""Finds the classifiers whose features a segmentation net can be built on.

Such a file of this folder exports, beside `Model`, an `Encoder`: a linen module called
`encoder(image)` on images of 0 to 1 that gives its taps, {Keras's layer name: features},
finest first, each half the size of the one before. `stages` leaves out the deepest.
"""

import importlib

import flax.linen as nn

ENCODERS = ("efficientnet_b0", "efficientnet_lite0", "resnet50", "vgg16")


def make_encoder(name: str, **options) -> nn.Module:
    """The encoder called `name`, itself called "encoder" in the net that asks for it."""
    if name not in ENCODERS:
        raise ValueError(f"No encoder {name!r}; there are: {', '.join(ENCODERS)}.")
    module = importlib.import_module(f"brainseg_jax.models.{name}")
    return module.Encoder(**options, name="encoder")
