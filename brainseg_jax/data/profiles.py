"""How training slices look, in a few numbers: by which a patient unlike them is known.

A patient's number is the median over some slices. It is unlike training if it lies beyond
those of all sampled patients by half of their range. Nothing here says that a prediction is
right.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Shaped

from brainseg_jax.data.sources import Source

PATIENTS, SLICES = 16, 4  # that are sampled: patients, and slices of each
SIDE = 16  # pixels of the mean picture
AIR = 0.1  # of the way from the darkest to the brightest hundredth
BEYOND = 0.5  # of the training range
# What each number is called in a warning.
SAID = {
    "brightness": "its brightest hundredth of pixels",
    "air": "its share of dark pixels",
    "contrast": "its contrast",
    "height": "its height in pixels",
    "width": "its width in pixels",
    "likeness": "its correlation with their mean",
    "turned": "how much more it is like them turned or upside down than as it is",
}

Profile = dict[str, Any]


def profile(source: Source) -> Profile | None:
    """Of slices; None if all are of one colour."""
    slices: dict[str, list[np.ndarray]] = {}
    patients = list(dict.fromkeys(source.patients))
    for place in spread(range(len(patients)), PATIENTS):
        own = [k for k, who in enumerate(source.patients) if who == patients[place]]
        images = [source.read_stored(k)[0] for k in spread(own, SLICES)]
        if images := _not_of_one_colour(images):
            slices[patients[place]] = images
    if not slices:
        return None
    mean = np.mean([_small(one) for own in slices.values() for one in own], 0)
    found = [_medians(own, mean) for own in slices.values()]
    return {
        "mean": " ".join(f"{value:.4f}" for value in mean.reshape(-1)),
        "ranges": {
            name: [min(one[name] for one in found), max(one[name] for one in found)]
            for name in SAID
        },
    }


def numbers(
    image: Shaped[np.ndarray, "h w c"], mean: Float64[np.ndarray, "side side"]
) -> dict[str, float]:
    """Of a slice that is not of one colour."""
    levels = _levels(image)
    head = levels[levels > AIR]
    small = _small(image)
    upright, *others = (
        correlation(one, mean)
        for one in (small, small[::-1], np.rot90(small), np.rot90(small, 3))
    )
    height, width, _ = image.shape
    found = {
        "brightness": float(np.percentile(image, 99)),
        "air": float((levels <= AIR).mean()),
        "contrast": float(head.std()) if len(head) else 0.0,
        "height": height,
        "width": width,
        "likeness": upright,
        "turned": max(others) - upright,
    }
    return {name: float(value) for name, value in found.items()}


def unlike(
    images: Sequence[Shaped[np.ndarray, "h w c"]], known: Mapping[str, Any]
) -> tuple[str, ...]:
    """What of a patient's slices is unlike those of training, in words; () if nothing.

    Of a lone slice only the size is judged: slices at the ends of a head are unlike most.
    """
    some = _not_of_one_colour([images[k] for k in spread(range(len(images)), SLICES)])
    if not some:
        return ()
    said = []
    for name, value in _medians(some, _mean_of(known)).items():
        low, high = known["ranges"][name]
        room = BEYOND * (high - low)
        judged = len(images) > 1 or name in ("height", "width")
        if judged and not low - room <= value <= high + room:
            said.append(
                f"unlike the training images: {SAID[name]} is {value:.3g}, theirs are "
                f"{low:.3g} to {high:.3g}"
            )
    return tuple(said)


def _medians(
    images: Sequence[np.ndarray], mean: Float64[np.ndarray, "side side"]
) -> dict[str, float]:
    each = [numbers(image, mean) for image in images]
    return {
        name: round(float(np.median([one[name] for one in each])), 4) for name in SAID
    }


def _mean_of(known: Mapping[str, Any]) -> Float64[np.ndarray, "side side"]:
    return np.array(known["mean"].split(), float).reshape(SIDE, SIDE)


def spread(places: Sequence[int], count: int) -> list[int]:
    """Some of them, evenly."""
    chosen = np.linspace(0, len(places) - 1, min(count, len(places)))
    return [places[int(k)] for k in np.rint(chosen)]


def air(image: Shaped[np.ndarray, "*space c"]) -> Bool[np.ndarray, "*space"]:
    """What is dark, as a slice's share of air counts it."""
    return _levels(image) <= AIR


def _not_of_one_colour(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [image for image in images if image.max() > image.min()]


def _levels(image: Shaped[np.ndarray, "*space c"]) -> Float64[np.ndarray, "*space"]:
    """Of the mean of the channels."""
    return as_levels(image.mean(-1, dtype=float))


def as_levels(
    values: Float64[np.ndarray, "*space"],
) -> Float64[np.ndarray, "*space"]:
    """From the darkest to the brightest hundredth as 0 to 1."""
    low, high = values.min(), np.percentile(values, 99)
    return np.clip((values - low) / (high - low if high > low else 1), 0, 1)


def _small(image: Shaped[np.ndarray, "h w c"]) -> Float64[np.ndarray, "side side"]:
    return cv2.resize(_levels(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """0 where one of them is the same everywhere."""
    apart = [part - part.mean() for part in (one, other)]
    size = np.sqrt((apart[0] ** 2).sum() * (apart[1] ** 2).sum())
    return float((apart[0] * apart[1]).sum() / size) if size > 0 else 0.0
