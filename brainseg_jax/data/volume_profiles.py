"""How training volumes look, in a few numbers: by which a scan unlike them is known.

Numbers are of a volume cropped to what is not 0, of each of its sequences and of all. A
scan is unlike training if one lies beyond those of all sampled patients by half of their
range, a spacing by half of itself. Nothing here says that a prediction is right.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Shaped

from brainseg_jax.data import profiles
from brainseg_jax.data.profiles import AIR, BEYOND, PATIENTS, Profile
from brainseg_jax.data.sources import Source

SIDE = 8  # voxels of the mean volume along each axis
MOST = 64  # voxels along each axis that are looked at
AXES = ("down to up", "back to front", "left to right")
TURNED = "turned"
# What each number is called in a warning, the most telling first: of an axis, of all and
# of a sequence.
SAID = {
    "extent": "the mm of its head",
    "spacing": "the mm between its voxels",
    TURNED: "how much more it is like them turned than as it is",
    "other": "how much more it is like another of their sequences than like its own",
    "likeness": "its correlation with their mean",
    "brightness": "its brightest hundredth of voxels",
    "air": "its share of dark voxels",
    "contrast": "its contrast",
    "dim": "its share of the head that is far darker than most",
    "bright": "its share of the head that is far brighter than most",
}
OF_AXIS = ("extent", "spacing")
FAR = 0.4  # from the head's median, as a share of it
Cubes = Float64[np.ndarray, "c side side side"]


class Looks(NamedTuple):
    """Of one volume: numbers by their names, and its sequences on a coarse grid."""

    numbers: dict[str, float]
    cubes: dict[str, Float64[np.ndarray, "side side side"]]


def profile(source: Source) -> Profile | None:
    """Of some patients of a split of volumes; None if all are empty."""
    patients = list(dict.fromkeys(source.patients))
    places = profiles.spread(range(len(patients)), PATIENTS)
    seen = []
    for place in (source.patients.index(patients[one]) for one in places):
        image = source.read_stored(place)[0]
        if image.any():
            seen.append(look(image, source.spacings[place], source.info.channels))
    if not seen:
        return None
    found = [
        one.numbers | _likeness(one.cubes, _mean([*seen[:k], *seen[k + 1 :]] or [one]))
        for k, one in enumerate(seen)
    ]
    return {
        "means": {
            name: " ".join(f"{value:.3f}" for value in cube.reshape(-1))
            for name, cube in _mean(seen).items()
        },
        "ranges": _ranges(found),
    }


def look(
    image: Shaped[np.ndarray, "z y x c"],
    spacing: Sequence[float],
    channels: Sequence[str],
) -> Looks:
    """Of a volume that is cropped already; of sequences that are not all of one value."""
    down, back, across = (-(-size // MOST) for size in image.shape[:3])
    some = image[::down, ::back, ::across]
    numbers: dict[str, float] = {}
    cubes = {}
    for place, channel in enumerate(channels):
        values = some[..., place].astype(float)
        if values.min() == values.max():
            continue
        levels = profiles.as_levels(values)
        cubes[channel] = _cube(levels)
        own = _intensities(values, levels)
        numbers |= {_of(name, channel): value for name, value in own.items()}
    if np.isfinite(spacing).all():
        for axis, size, mm in zip(AXES, image.shape, spacing, strict=False):
            numbers[_of("extent", axis)] = size * mm
            numbers[_of("spacing", axis)] = mm
    return Looks(numbers, cubes)


def unlike(
    image: Shaped[np.ndarray, "z y x c"],
    spacing: Sequence[float],
    channels: Sequence[str],
    known: Mapping[str, Any],
) -> tuple[str, ...]:
    """What of a scan is unlike the training volumes, in words; () if nothing.

    A number that is unlike in several sequences, or along several axes, is told once.
    """
    seen = look(image, spacing, channels)
    means = {
        name: np.array(text.split(), float).reshape((SIDE,) * 3)
        for name, text in known["means"].items()
    }
    beyond: dict[str, list[tuple[str, float, str]]] = {}
    numbers = seen.numbers | _likeness(seen.cubes, means)
    for name in [one for one in numbers if one in known["ranges"]]:
        value, (low, high) = numbers[name], known["ranges"][name]
        room = _room(name, low, high)
        if not low - room <= value <= high + room:
            number, _, part = name.partition(" of ")
            theirs = f"{low:.3g} to {high:.3g}"
            beyond.setdefault(number, []).append((part, value, theirs))
    return tuple(_said(number, beyond[number]) for number in SAID if number in beyond)


def _ranges(found: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """The least and the most of each number, over the volumes that have it."""
    names = dict.fromkeys(name for one in found for name in one)
    values = {name: [one[name] for one in found if name in one] for name in names}
    return {
        name: [round(min(own), 4), round(max(own), 4)] for name, own in values.items()
    }


def _room(name: str, low: float, high: float) -> float:
    """Spacings of a set are often all the same."""
    return BEYOND * (low if name.startswith("spacing") else high - low)


def _intensities(
    values: Float64[np.ndarray, "z y x"], levels: Float64[np.ndarray, "z y x"]
) -> dict[str, float]:
    head = levels[levels > AIR] if levels.max() > AIR else levels
    middle = float(np.median(head))
    return {
        "brightness": float(np.percentile(values, 99)),
        "air": float((levels <= AIR).mean()),
        "contrast": float(head.std()),
        "dim": float((head < (1 - FAR) * middle).mean()),
        "bright": float((head > (1 + FAR) * middle).mean()),
    }


def _likeness(
    cubes: Mapping[str, np.ndarray], means: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """To the means of the sequences: within the head of each, turned of all together."""
    within = np.mean([*means.values()], 0) > AIR
    found = {}
    for channel in [name for name in cubes if name in means]:
        like = {
            other: profiles.correlation(cubes[channel][within], mean[within])
            for other, mean in means.items()
        }
        own = like.pop(channel)
        found[_of("likeness", channel)] = own
        if like:
            found[_of("other", channel)] = max(like.values()) - own
    shared = [name for name in cubes if name in means]
    if shared:
        ours, theirs = (
            np.stack([one[name] for name in shared]) for one in (cubes, means)
        )
        upright, *others = (profiles.correlation(turn(ours), theirs) for turn in TURNS)
        found[TURNED] = max(others) - upright
    return found


# Of [c, z, y, x], the first as it is. A head looks the same from left to right.
TURNS: tuple[Callable[[Cubes], Cubes], ...] = (
    lambda one: one,
    lambda one: one[:, ::-1],
    lambda one: one[:, :, ::-1],
    lambda one: one[:, ::-1, ::-1],
    lambda one: one.transpose(0, 2, 1, 3),
    lambda one: one.transpose(0, 3, 2, 1),
    lambda one: one.transpose(0, 1, 3, 2),
)


def _mean(seen: Sequence[Looks]) -> dict[str, np.ndarray]:
    """Of each sequence over the volumes that have it."""
    names = dict.fromkeys(name for one in seen for name in one.cubes)
    return {
        name: np.mean([one.cubes[name] for one in seen if name in one.cubes], 0)
        for name in names
    }


def _cube(levels: Float64[np.ndarray, "z y x"]) -> Float[np.ndarray, "side side side"]:
    """Means over SIDE parts of each axis."""
    for axis in range(3):
        starts = np.arange(SIDE) * levels.shape[axis] // SIDE
        count = np.maximum(np.diff([*starts, levels.shape[axis]]), 1)
        count = count.reshape([-1 if k == axis else 1 for k in range(3)])
        levels = np.add.reduceat(levels, starts, axis) / count
    return levels


def _of(name: str, part: str) -> str:
    return f"{name} of {part}"


def _said(number: str, beyond: Sequence[tuple[str, float, str]]) -> str:
    """Of the first part that it is unlike in, and which others there are."""
    (part, value, theirs), *others = beyond
    where = "from" if number in OF_AXIS else "in"
    found = f"{SAID[number]} {where} {part}" if part else SAID[number]
    also = f" (also {where} {', '.join(one for one, *_ in others)})" if others else ""
    return (
        f"unlike the training scans: {found} is {value:.3g}, theirs are {theirs}{also}"
    )
