"""Maps the name of a tensor in a published file to its place in our parameters.

Our layers are called what Keras calls them; PyTorch's names are torchvision's for VGG16
and ResNet50, and EfficientNet-PyTorch's for the EfficientNets.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Classifiers on top, published or a user's own; no encoder has them.
TOPS = {
    "keras": r"(predictions|probs|fc|fc1|fc2|fc1000|dense|batch_normalization)(_\d+)?",
    "pytorch": r"_?fc|classifier(\.\d+)*|head(\.fc)?|pre_logits\.fc\d",
}
LEAVES = {
    "keras": {
        **{"kernel": "kernel", "depthwise_kernel": "kernel", "bias": "bias"},
        **{"gamma": "scale", "beta": "bias", "moving_mean": "mean", "mean": "mean"},
        **{"moving_variance": "var", "variance": "var", "count": "count"},
        **{"W": "kernel", "b": "bias"},  # as Keras 1 has it, and the file of VGG16
    },
    "pytorch": {
        **{"weight": "kernel", "bias": "bias"},
        **{"running_mean": "mean", "running_var": "var"},
        "num_batches_tracked": "steps",
    },
}


class Place(NamedTuple):
    """A leaf of the parameters; `layer` is the path of its module, joined by "_"."""

    layer: str
    leaf: str


def place(architecture: str, layout: str, name: str) -> Place | None:
    """Where the tensor called `name` belongs; None if the architecture has no such."""
    layer, weight = _split(layout, name)
    if re.fullmatch(TOPS[layout], layer):
        return Place("top", weight)
    known = LAYERS[architecture, layout]
    if layer not in known or weight not in LEAVES[layout]:
        return None
    ours, leaf = known[layer], LEAVES[layout][weight]
    normalised = layout == "pytorch" and leaf == "kernel" and ours.endswith("bn")
    return Place(ours, "scale" if normalised else leaf)


def order(layout: str, layer: str, rank: int) -> tuple[int, ...]:
    """How to transpose a kernel of the file into ours: height, width, in, out."""
    if layout == "pytorch" and rank == 4:  # out, in, height, width
        return (2, 3, 1, 0)
    if layer.endswith("dwconv") and rank == 4:  # Keras has the one input last
        return (0, 1, 3, 2)
    return tuple(range(rank))


def recognise(names: Iterable[str]) -> tuple[str, str] | None:
    """The first architecture and layout that have all of these names, if any."""
    names = list(names)
    for architecture, layout in LAYERS:
        places = [place(architecture, layout, name) for name in names]
        if all(places) and {found.layer for found in places if found} != {"top"}:
            return architecture, layout
    return None


def _split(layout: str, name: str) -> tuple[str, str]:
    """The layer and its weight: "a/b" in Keras, within other models or not; "a.b"."""
    if layout == "pytorch":
        layer, _, weight = name.rpartition(".")
        return layer, weight
    layer, _, weight = name.rpartition("/")
    layer = re.sub(r"^normalization_\d+$", "normalization", layer.rpartition("/")[2])
    return layer, re.sub(rf"^{re.escape(layer)}_([Wb])(_\d+)?$", r"\1", weight)


def _vgg16() -> dict[str, str]:
    """Each of our layers, and its name in PyTorch; likewise below."""
    names, place_in_list = {}, 0
    for block, convolutions in enumerate((2, 2, 3, 3, 3), start=1):
        for number in range(1, convolutions + 1):
            names[f"block{block}_conv{number}"] = f"features.{place_in_list}"
            place_in_list += 2  # with its ReLU
        place_in_list += 1  # pooling
    return names


def _resnet50() -> dict[str, str]:
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1"}
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            ours, theirs = f"conv{stage + 1}_block{block + 1}", f"layer{stage}.{block}"
            for number in (1, 2, 3):
                names[f"{ours}_{number}_conv"] = f"{theirs}.conv{number}"
                names[f"{ours}_{number}_bn"] = f"{theirs}.bn{number}"
        names[f"conv{stage + 1}_block1_0_conv"] = f"layer{stage}.0.downsample.0"
        names[f"conv{stage + 1}_block1_0_bn"] = f"layer{stage}.0.downsample.1"
    return names


def _efficientnet(squeeze: bool) -> dict[str, str]:
    parts = {
        **{"expand_conv": "_expand_conv", "expand_bn": "_bn0"},
        **{"dwconv": "_depthwise_conv", "bn": "_bn1"},
        **({"se_reduce": "_se_reduce", "se_expand": "_se_expand"} if squeeze else {}),
        **{"project_conv": "_project_conv", "project_bn": "_bn2"},
    }
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0"}
    repeats = enumerate((1, 2, 2, 3, 3, 4, 1), start=1)
    blocks = [
        f"block{stage}{'abcd'[k]}" for stage, count in repeats for k in range(count)
    ]
    for number, block in enumerate(blocks):
        for ours, theirs in parts.items():
            if number or not ours.startswith("expand"):
                names[f"{block}_{ours}"] = f"_blocks.{number}.{theirs}"
    return {**names, "top_conv": "_conv_head", "top_bn": "_bn1"}


def _same(names: Iterable[str]) -> dict[str, str]:
    return {name: name for name in names}


def _inverse(names: dict[str, str]) -> dict[str, str]:
    return {theirs: ours for ours, theirs in names.items()}


# Each layer's name in the file, and ours. Lite0 first: its names are among B0's.
LAYERS = {
    ("vgg16", "keras"): _same(_vgg16()),
    ("vgg16", "pytorch"): _inverse(_vgg16()),
    ("resnet50", "keras"): _same(_resnet50()),
    ("resnet50", "pytorch"): _inverse(_resnet50()),
    ("efficientnet_lite0", "pytorch"): _inverse(_efficientnet(squeeze=False)),
    ("efficientnet_b0", "keras"): _same(
        ["normalization", *_efficientnet(squeeze=True)]
    ),
}
