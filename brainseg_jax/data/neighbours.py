"""Slices seen together with those next to them in their volume, as further channels.

A slice and `reach` slices before and after it make one image of 2 reach + 1 times the
channels, in their order. At the ends of a volume its last slice stands for what is beyond.
"""

import collections
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int32, Num

from brainseg_jax.data import fitting
from brainseg_jax.data.index import Index


def of_rows(
    index: Index, rows: Sequence[int], reach: int, split: str
) -> Int32[np.ndarray, "n s"]:
    """As `together`, of the rows that make a split, in its order.

    Raises:
        ValueError: unless the split has all slices of its volumes, and those have several.
    """
    stored = collections.Counter(index.volumes)
    volumes = [index.volumes[row] for row in rows]
    here = collections.Counter(volumes)
    asked = f"config.data.neighbours is {reach}, but"
    if max(stored.values()) == 1:
        raise ValueError(
            f"{asked} no two slices of {split} are of one volume; set it to 0."
        )
    if lacking := [name for name in here if here[name] < stored[name]]:
        raise ValueError(
            f"{asked} {split} has only some slices of {len(lacking)} volumes "
            f"({', '.join(lacking[:3])}). Use folds and config.data.only_tumour=False, or "
            "set it to 0."
        )
    return together(volumes, reach)


def together(volumes: Sequence[str], reach: int) -> Int32[np.ndarray, "n s"]:
    """Places of the slices that each is seen with, itself in the middle.

    `volumes` names that of each slice; a volume's slices come in their order.
    """
    places: dict[str, list[int]] = {}
    for place, volume in enumerate(volumes):
        places.setdefault(volume, []).append(place)
    found = np.empty((len(volumes), 2 * reach + 1), np.int32)
    offsets = np.arange(-reach, reach + 1)
    for members in places.values():
        own = np.arange(len(members))[:, None] + offsets
        found[members] = np.array(members)[own.clip(0, len(members) - 1)]
    return found


def lacking(numbers: Sequence[int], reach: int) -> Bool[np.ndarray, " n"]:
    """Which slices are seen with one farther off, since those between are missing.

    By the numbers of a volume's slices: a step wider than most is a gap.
    """
    found = np.zeros(len(numbers), bool)
    steps = np.diff(numbers)
    usual = max(1, np.median(steps)) if len(steps) else 1
    for after in np.flatnonzero(steps > usual) + 1:
        found[max(0, after - reach) : after + reach] = True
    return found


def join(slices: Sequence[Num[np.ndarray, "h w c"]]) -> Num[np.ndarray, "h w d"]:
    """One image of slices; those of another size are brought to that of the middle one."""
    if len(slices) == 1:
        return slices[0]
    size = slices[len(slices) // 2].shape[:-1]
    return np.concatenate([fitting.resize_image(one, size) for one in slices], -1)


def join_scaling(
    scaling: Float32[np.ndarray, "n 4 c"], places: Int32[np.ndarray, "n s"]
) -> Float32[np.ndarray, "n 4 d"]:
    """The numbers of joined images: each slice keeps its own."""
    return np.concatenate([scaling[column] for column in places.T], axis=-1)


def resize(
    image: Num[np.ndarray, "*space d"], size: Sequence[int], reach: int
) -> Num[np.ndarray, "*size d"]:
    """A joined image at another size, each slice by itself as those of training are."""
    parts = np.split(image, 2 * reach + 1, axis=-1)
    whole = map(np.ascontiguousarray, parts)
    return join([fitting.resize_image(part, size) for part in whole])


def names(channels: Sequence[str], reach: int) -> tuple[str, ...]:
    """Of the channels of a joined image: FLAIR[-1], FLAIR, FLAIR[+1]."""
    return tuple(
        f"{channel}[{offset:+d}]" if offset else channel
        for offset in range(-reach, reach + 1)
        for channel in channels
    )
