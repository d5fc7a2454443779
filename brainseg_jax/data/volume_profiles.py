"""How training volumes look, in a few numbers: by which a scan unlike them is known.

Numbers are of a volume cropped to what is not 0, of each of its sequences and of all. A
scan is unlike training if one lies beyond those of all sampled patients by half of their
range, a spacing by half of itself. Nothing here says that a prediction is right.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped

from brainseg_jax.data import profiles, volume_likeness
from brainseg_jax.data.profiles import AIR, BEYOND, PATIENTS, Profile
from brainseg_jax.data.sources import Source
from brainseg_jax.data.volume_likeness import Cube

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


class Looks(NamedTuple):
    """Of one volume: numbers by their names, and its sequences on a coarse grid."""

    numbers: dict[str, float]
    cubes: dict[str, Cube]


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
    cubes = [one.cubes for one in seen]
    found = []
    for k, one in enumerate(seen):
        others = volume_likeness.mean_of([*cubes[:k], *cubes[k + 1 :]] or cubes)
        found.append(one.numbers | _likeness(one.cubes, others))
    return {
        "means": {
            name: " ".join(f"{value:.3f}" for value in cube.reshape(-1))
            for name, cube in volume_likeness.mean_of(cubes).items()
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
        cubes[channel] = volume_likeness.coarse(levels)
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
        name: np.array(text.split(), float).reshape((volume_likeness.SIDE,) * 3)
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


def _likeness(cubes: Mapping[str, Cube], means: Mapping[str, Cube]) -> dict[str, float]:
    """To the means of the sequences."""
    found = {}
    for channel, like in volume_likeness.of_sequences(cubes, means).items():
        own = like.pop(channel)
        found[_of("likeness", channel)] = own
        if like:
            found[_of("other", channel)] = max(like.values()) - own
    turned = volume_likeness.turned(cubes, means)
    return found if turned is None else found | {TURNED: turned}


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
