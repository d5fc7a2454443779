"""What a decoder is built on: a plain encoder, or the features of a classifier.

A classifier's file in this folder exports, beside `Model`, an `Encoder`: a linen module
called `encoder(image, keys)` on images of 0 to 1, that gives its taps, {Keras's layer name:
features}, finest first, each half the size of the one before. `stages` leaves out the
deepest.
"""

import importlib
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from brainseg_jax.models.parts import blocks, layers

# Each with the halvings before its finest tap.
ENCODERS = {"efficientnet_b0": 1, "efficientnet_lite0": 1, "resnet50": 1, "vgg16": 0}


def encode(
    model: Any,
    image: Float[Array, "n *space c"],
    style: layers.Style,
    keys: blocks.Keys,
    title: str,
    stages: int = 5,
) -> list[Array]:
    """The taps of a model's encoder, finest first, from inside of its `__call__`.

    The encoder is called "encoder" in the model's parameters whichever it is.
    """
    if model.encoder:
        halvings = stages - 1 + _halvings(model.encoder)
        if not 2 <= stages <= 5:
            raise ValueError(
                f"config.model.options.stages is {stages}; it can be 2, 3, 4 or 5."
            )
        layers.check_size(image, halvings, title)
        encoder = make_encoder(model, style, stages)
        return list(encoder(image, keys).values())
    for option, unset in (("variant", ""), ("preprocessing", "none")):
        if (value := getattr(model, option)) != unset:
            raise ValueError(
                f"config.model.options.{option} is {value!r}, which is of a pretrained "
                "encoder; set config.model.options.encoder too, or leave it out."
            )
    layers.check_size(image, len(model.widths) - 1, title)
    plain = blocks.Encoder(model.widths, style, remat=model.remat, name="encoder")
    return plain(image, keys)


def check_widths(model: Any, taps: list[Array], title: str) -> None:
    """Refuses widths that are neither one per decoder nor, one more, one per tap.

    The deepest tap is as wide as its encoder has it.
    """
    if len(model.widths) not in (len(taps) - 1, len(taps)):
        raise ValueError(
            f"{title} has {len(taps) - 1} decoders on {model.encoder or 'its encoder'}, "
            f"but config.model.options.widths={model.widths}; give one for each, finest "
            "first."
        )


def make_encoder(model: Any, style: layers.Style, stages: int) -> nn.Module:
    """The `Encoder` of the file that a model's field `encoder` names.

    Of the style it takes what holds for all of a net: training, type and devices.
    """
    module = importlib.import_module(f"brainseg_jax.models.{model.encoder}")
    if model.variant and not hasattr(module.Encoder, "variant"):
        raise ValueError(
            f"config.model.options.variant is {model.variant!r}, but {model.encoder} has "
            "no variants; leave it out."
        )
    return module.Encoder(
        preprocessing=model.preprocessing,
        stages=stages,
        remat=model.remat,
        train=style.train,
        dtype=style.dtype,
        axis_name=style.axis_name,
        name="encoder",
        **({"variant": model.variant} if model.variant else {}),
    )


def _halvings(name: str) -> int:
    layers.check_known("encoder", name, (*ENCODERS,))
    return ENCODERS[name]
