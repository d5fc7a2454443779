"""Puts published weights into an encoder's parameters: Keras's, torchvision's, a user's.

    options = pretrained.describe("resnet50", source)  # what the net has to be built with
    variables = pretrained.load("resnet50", source, variables)

`source` is "imagenet", for the official file, or the path of one: .h5 of Keras in the
layout with layer names, .pth of PyTorch, .safetensors.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from brainseg_jax.weights import formats, layer_names, official
from brainseg_jax.weights.layer_names import Place

# Options that the net needs for weights of each architecture and layout.
OPTIONS = {
    ("vgg16", "keras"): {"preprocessing": "caffe"},
    ("vgg16", "pytorch"): {"preprocessing": "torch"},
    ("resnet50", "keras"): {"variant": "keras", "preprocessing": "caffe"},
    ("resnet50", "pytorch"): {"variant": "torchvision", "preprocessing": "torch"},
    ("efficientnet_b0", "keras"): {"preprocessing": "imagenet"},
    ("efficientnet_lite0", "pytorch"): {"preprocessing": "imagenet"},
}
ASKED = ("preprocessing", "variant")  # the names of such options
FIRST_KERNELS = [
    Place(layer, "kernel") for layer in ("block1_conv1", "conv1_conv", "stem_conv")
]
DEVIATIONS = (0.229, 0.224, 0.225)  # EfficientNetB0 has these for variances


class Tensor(NamedTuple):
    """A tensor under its name in the file, its axes in the order they have there."""

    name: str
    values: np.ndarray


def asked_options(architecture: str, source: str | Path) -> dict[str, str]:
    """The options of the encoder that the weights were trained with.

    An EfficientNetB0 trained from random weights in Keras has no ImageNet normalisation;
    the constants in its file show that it does not descend from the official one.

    Raises:
        ValueError: if the architecture has no published weights, or the file does not hold
            weights of it.
        OSError: if the file cannot be read.
    """
    _check(architecture)
    if str(source) == "imagenet":
        return next(OPTIONS[key] for key in OPTIONS if key[0] == architecture).copy()
    tensors, layout = _read(architecture, Path(source))
    options = OPTIONS[architecture, layout].copy()
    variance = tensors.get(Place("normalization", "var"))
    if variance and not _is_imagenet(variance.values):
        options["preprocessing"] = "none"
    return options


def load_weights(
    architecture: str, source: str | Path, variables: Mapping[str, Any]
) -> dict[str, Any]:
    """The encoder's variables with the values of a file, as NumPy arrays.

    `variables` are those of the encoder alone, {"params": ..., "batch_stats": ...}; their
    leaves only have to have a shape. Deeper layers than these, and a classifier on top,
    may be in the file.

    An encoder of other than three channels gets the first kernel's mean over red, green
    and blue for each, times 3 / channels: a gray image repeated gives the same response,
    but for each colour's constants in the preprocessing, whose means stand for all.

    Raises:
        ValueError: if the file does not hold finite weights of this very net.
        OSError: if it cannot be read or downloaded.
    """
    _check(architecture)
    path = official.weights(architecture) if str(source) == "imagenet" else Path(source)
    tensors, layout = _read(architecture, path)
    leaves = traverse_util.flatten_dict(dict(variables), keep_empty_nodes=True)
    needed = {
        key: Place("_".join(key[1:-1]), key[-1])
        for key, leaf in leaves.items()
        if leaf is not traverse_util.empty_node
    }
    options = OPTIONS[architecture, layout]
    _check_leaves(path, tensors, list(needed.values()), options)
    filled = {
        key: _fit(path, tensors[place], place, layout, tuple(leaves[key].shape))
        for key, place in needed.items()
    }
    return traverse_util.unflatten_dict({**leaves, **filled})


def widen(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A first kernel for images of `channels`, with the same response to a gray image."""
    mean = kernel.mean(axis=2, keepdims=True)
    return np.repeat(mean, channels, axis=2) * (kernel.shape[2] / channels)


def _is_imagenet(variance: np.ndarray) -> bool:
    return variance.shape == (3,) and np.allclose(variance, DEVIATIONS, atol=1e-4)


def _check(architecture: str) -> None:
    known = sorted({architecture for architecture, _ in OPTIONS})
    if architecture not in known:
        raise ValueError(
            f"No published weights of {architecture!r}; there are some of: "
            f"{', '.join(known)}."
        )


def _read(architecture: str, path: Path) -> tuple[dict[Place, Tensor], str]:
    """The file's tensors by their place, and its layout; refuses other architectures."""
    arrays = formats.read(path)
    layout, places = _places(architecture, path, list(arrays))
    tensors: dict[Place, Tensor] = {}
    for name, place in places.items():
        if place in tensors and place.layer != "top":
            raise ValueError(
                f"{path} holds two of the same net: {tensors[place].name} and {name}. "
                "Save the one that is meant alone."
            )
        tensors[place] = Tensor(name, arrays[name])
    return tensors, layout


def _places(
    architecture: str, path: Path, names: list[str]
) -> tuple[str, dict[str, Place]]:
    """The layout that has all the names, and where each belongs."""
    layouts = [layout for known, layout in OPTIONS if known == architecture]
    unknown = names
    for layout in layouts:
        found = {n: layer_names.place(architecture, layout, n) for n in names}
        places = {name: place for name, place in found.items() if place}
        if len(places) == len(names):
            return layout, places
        if len(strange := [n for n in names if n not in places]) <= len(unknown):
            unknown = strange
    wanted = f"{architecture} in the layout of {' or '.join(layouts)}"
    if recognised := layer_names.recognise(names):
        known, layout = recognised
        raise ValueError(
            f"{path} holds {known} in the layout of {layout}, but {wanted} is needed; "
            "give another file, or change the net."
        )
    raise ValueError(
        f"{path} is another net: {unknown[0]} is not in {architecture}, nor are "
        f"{len(unknown) - 1} more of {len(names)} names.{_advice(names)} Give a file of "
        f"{wanted}, with at most a classifier on top."
    )


def _advice(names: list[str]) -> str:
    """What to save instead, if all names are a known net's after a common prefix."""
    parts = os.path.commonprefix(names).split(".")[:-1]
    for count in range(1, len(parts) + 1):
        prefix = ".".join(parts[:count]) + "."
        if layer_names.recognise([name.removeprefix(prefix) for name in names]):
            return f" All begin with {prefix!r}: save that part alone."
    return ""


def _check_leaves(
    path: Path, tensors: Mapping[Place, Tensor], needed: list[Place], options: dict
) -> None:
    """Refuses a file that lacks a tensor, or has one that our layer has no place for."""
    built = " and ".join(f"{name}={value!r}" for name, value in options.items())
    advice = f"These weights are for an encoder of {built}."
    for place in needed:
        if place not in tensors:
            raise ValueError(
                f"{path} lacks {place.layer}/{place.leaf}, which the encoder needs; give "
                f"a complete file of the same net. {advice}"
            )
    layers, taken = {place.layer for place in needed}, {*needed}
    for place, tensor in tensors.items():
        left = place not in taken and place.leaf != "steps"
        if left and place.layer in layers:
            raise ValueError(
                f"{path} has {tensor.name} of shape {tensor.values.shape}, for which the "
                f"encoder's {place.layer} has no place. {advice}"
            )


def _fit(
    path: Path, tensor: Tensor, place: Place, layout: str, shape: tuple[int, ...]
) -> np.ndarray:
    """A tensor's values in our order of axes, for as many channels as ours has."""
    order = layer_names.order(layout, place.layer, len(shape))
    values = tensor.values
    if values.ndim == len(shape):
        values = values.transpose(order).astype(np.float32)
        if place in FIRST_KERNELS and values.shape[2] == 3 != shape[2]:
            values = widen(values, shape[2])
        if place.layer == "normalization" and values.shape == (3,) != shape:
            values = np.full(shape, values.mean())
    if place.leaf != "count" and not jnp.issubdtype(tensor.values.dtype, jnp.floating):
        raise ValueError(
            f"{path}: {tensor.name} holds {tensor.values.dtype}, perhaps quantised; give "
            "a file of the weights as floating-point numbers."
        )
    if place.leaf == "var" and (values < 0).any():
        raise ValueError(
            f"{path}: {tensor.name} holds variances below 0, which no training gives; "
            "the file was written wrongly."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{path}: {tensor.name} holds values that are not finite; the training that "
            "wrote it went wrong."
        )
    if values.shape != shape:
        wanted = tuple(shape[order.index(axis)] for axis in range(len(shape)))
        raise ValueError(
            f"{path}: {tensor.name} has the shape {tensor.values.shape}, but {wanted} is "
            "needed; give a file of the same net."
        )
    return values
