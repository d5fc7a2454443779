"""What a decoder is built on: a plain encoder, or the features of a classifier.

A classifier's file in this folder exports, beside `Model`, an `Encoder`: a linen module
called `encoder(image, keys)` on images of 0 to 1, that gives its taps, {Keras's layer name:
features}, finest first, each half the size of the one before. `stages` leaves out the
deepest. Its HALVINGS are those before its finest tap.
"""

import functools
from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from brainseg_jax import models, registry
from brainseg_jax.models.parts import blocks, layers, options


def take_taps(
    model: Any,
    image: Float[Array, "n *space c"],
    style: layers.Style,
    keys: blocks.Keys,
    title: str,
    stages: int = 5,
) -> list[Array]:
    """The taps of a model's encoder, finest first, from inside of its `__call__`.

    The encoder is called "encoder" in the model's parameters whichever it is.

    Raises:
        BadOption: if there is no such encoder, if `stages` is not 2 to 5, or if an option
            is set that the encoder does not have.
        ValueError: if the image cannot be halved as often as the encoder does.
    """
    if model.encoder:
        halvings = stages - 1 + find(model.encoder).HALVINGS
        if not 2 <= stages <= 5:
            raise options.BadOption("stages", f"is {stages}; it can be 2, 3, 4 or 5.")
        layers.check_size(image, halvings, title)
        encoder = make_encoder(model, style, stages)
        return list(encoder(image, keys).values())
    for option, unset in (("variant", ""), ("preprocessing", "none")):
        if (value := getattr(model, option)) != unset:
            raise options.BadOption(
                option,
                f"is {value!r}, which is of a pretrained encoder; set the option encoder "
                "too, or leave it out.",
            )
    layers.check_size(image, len(model.widths) - 1, title)
    plain = blocks.Encoder(model.widths, style, remat=model.remat, name="encoder")
    return plain(image, keys)


def check_widths(model: Any, taps: list[Array], title: str) -> None:
    """Refuses widths that are neither one per decoder nor, one more, one per tap.

    The deepest tap is as wide as its encoder has it.

    Raises:
        BadOption: naming the widths and how many there have to be.
    """
    if len(model.widths) not in (len(taps) - 1, len(taps)):
        raise options.BadOption(
            "widths",
            f"is {model.widths}, but {title} has {len(taps) - 1} decoders on "
            f"{model.encoder or 'its encoder'}; give one for each, finest first.",
        )


def make_encoder(model: Any, style: layers.Style, stages: int) -> nn.Module:
    """The `Encoder` of the file that a model's field `encoder` names.

    Of the style it takes what holds for all of a net: training, type and devices.

    Raises:
        BadOption: if there is no such encoder, or it has no variants and one is set.
    """
    encoder = find(model.encoder)
    if model.variant and not hasattr(encoder, "variant"):
        raise options.BadOption(
            "variant",
            f"is {model.variant!r}, but {model.encoder} has no variants; leave it out.",
        )
    return encoder(
        preprocessing=model.preprocessing,
        stages=stages,
        remat=model.remat,
        train=style.train,
        dtype=style.dtype,
        axis_name=style.axis_name,
        name="encoder",
        **({"variant": model.variant} if model.variant else {}),
    )


@functools.cache
def names() -> tuple[str, ...]:
    """The models whose file exports an `Encoder`."""
    found = (name for name in registry.names(models) if _encoder(name) is not None)
    return tuple(found)


def find(name: str) -> Any:
    """The class `Encoder` of a model's file; raises BadOption if it has none."""
    options.check_known("encoder", name, names())
    return _encoder(name)


def _encoder(name: str) -> Any:
    return getattr(registry.find(models, name), "Encoder", None)
