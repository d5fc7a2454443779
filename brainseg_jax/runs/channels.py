"""Fits weights to other channels of an image, by the channels' names.

The layers that read an image are found by what changes in shape with its channels. Where
they read more than the image, its channels come last, as blocks.Decoder joins them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict

Path = tuple[str, ...]  # of a leaf of the variables, its collection first
Leaves = Mapping[Path, Any]
Sources = tuple[int | str, ...]  # of each channel: its place in the other run, or a way
WAYS = ("match", "mean", "fresh")


def sources(ours: Sequence[str], theirs: Sequence[str], way: str) -> Sources:
    """What the kernels of each of our channels start from.

    By the channel's name; "mean" and "fresh" say how a channel begins that they lack, and
    "fresh" takes none at all. Raises ValueError for "match" if there is such a channel.
    """
    if way == "fresh":
        return (way,) * len(ours)
    unknown = [name for name in ours if name not in theirs]
    if unknown and way == "match":
        raise ValueError(
            f"its weights know the channels {', '.join(theirs)}, but not "
            f"{', '.join(unknown)}. config.init_channels=mean starts unknown ones from "
            "the mean of the known, config.init_channels=fresh all that reads the image "
            "from nothing."
        )
    return tuple(theirs.index(name) if name in theirs else way for name in ours)


def tell_sources(ours: Sequence[str], theirs: Sequence[str], chosen: Sources) -> str:
    """What becomes of each channel, for the log; nothing where all stay as they are."""
    if chosen == tuple(range(len(theirs))):
        return ""
    named = [
        name for name, source in zip(ours, chosen, strict=True) if source != "fresh"
    ]
    averaged = [
        name for name, source in zip(ours, chosen, strict=True) if source == "mean"
    ]
    kept = [name for name in named if name not in averaged]
    said = {
        "taken by name: ": kept,
        "from the mean of all of theirs: ": averaged,
        "fresh: ": [name for name in ours if name not in named],
        "left out: ": [name for name in theirs if name not in kept],
    }
    return "; ".join(
        f"{what}{', '.join(names)}" for what, names in said.items() if names
    )


def readers(model: nn.Module, shape: tuple[int, ...]) -> dict[Path, int]:
    """The weights that read an image of `shape` [n, *space, c], each with its axis.

    Along that axis a weight grows by one if the image has one channel more.

    Raises:
        ValueError: if a weight does not grow by one along just one axis.
    """
    *space, channels = shape
    now, more = (
        shapes_of(model, (*space, count)) for count in (channels, channels + 1)
    )
    found = {}
    for path, before in now.items():
        grown = [more[path][axis] - size for axis, size in enumerate(before)]
        if any(grown):
            if sum(grown) != 1:
                raise ValueError(
                    f"{'/'.join(path)} does not grow by one with a channel more, so its "
                    "channels cannot be told apart."
                )
            found[path] = grown.index(1)
    return found


def shapes_of(model: nn.Module, shape: tuple[int, ...]) -> dict[Path, tuple[int, ...]]:
    """Of every variable, for images of `shape`; nothing is computed."""
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables: Any = jax.eval_shape(model.init, jax.random.key(0), image)
    return {path: leaf.shape for path, leaf in flatten_dict(variables).items()}


def fit_all(
    own: Leaves, other: Leaves, read: Mapping[Path, int], count: int, chosen: Sources
) -> dict[Path, np.ndarray]:
    """The other run's weights that `readers` found, for our channels; see `fit`.

    One that has no counterpart of as many axes is left out.
    """
    return {
        path: fit(own[path], other[path], axis, count, chosen)
        for path, axis in read.items()
        if path in other and other[path].ndim == own[path].ndim
    }


def fit(own: Any, other: Any, axis: int, count: int, chosen: Sources) -> np.ndarray:
    """The other run's weight for our channels; `own` lends what is fresh.

    `count` are the other run's channels, the last of theirs along `axis`.
    """
    own, other = (np.moveaxis(np.asarray(leaf), axis, 0) for leaf in (own, other))
    image, ours = other[len(other) - count :], own[len(own) - len(chosen) :]
    read = [
        image[source]
        if isinstance(source, int)
        else (image.mean(0) if source == "mean" else ours[place])
        for place, source in enumerate(chosen)
    ]
    fitted = np.concatenate([other[: len(other) - count], np.stack(read)])
    return np.moveaxis(fitted, 0, axis).astype(own.dtype)
