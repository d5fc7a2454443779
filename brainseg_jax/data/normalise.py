"""Intensity normalisation: clip, subtract, divide, with four numbers per channel.

The numbers come from statistics of the stored images, of any dtype, on the host; images
keep their dtype until they are on the device.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Num

from brainseg_jax.data import tallies
from brainseg_jax.data.tallies import Tally


class Statistics(NamedTuple):
    """Intensities of some images, and of the volumes that they are part of."""

    dtype: np.dtype
    mean: Float[np.ndarray, "n c"]
    variance: Float[np.ndarray, "n c"]
    volume: Int[np.ndarray, " n"]  # place in `tallies` of each image's volume
    tallies: Sequence[Sequence[Tally]]  # of each volume and channel

    def take(self, rows: Sequence[int]) -> "Statistics":
        """Of some of the images, with the whole of their volumes."""
        places = np.asarray(rows, int)
        used, volume = np.unique(self.volume[places], return_inverse=True)
        return Statistics(
            self.dtype,
            self.mean[places],
            self.variance[places],
            volume,
            [self.tallies[place] for place in used],
        )

    def of_channels(self, chosen: Sequence[int]) -> "Statistics":
        """Of the channels at these places alone, in this order."""
        places = list(chosen)
        return self._replace(
            mean=self.mean[:, places],
            variance=self.variance[:, places],
            tallies=[[volume[place] for place in places] for volume in self.tallies],
        )


def statistics(images: Sequence[np.ndarray], volumes: Sequence[str]) -> Statistics:
    """Of arrays [*space c]; `volumes[i]` names the volume that image i belongs to."""
    own = [
        [tallies.tally(image[..., channel]) for channel in range(image.shape[-1])]
        for image in images
    ]
    mean, variance = np.moveaxis(
        np.array([[tallies.moments(one) for one in image] for image in own]), -1, 0
    )
    names, owner = np.unique(volumes, return_inverse=True)
    pooled = [
        [
            tallies.merge(channel)
            for channel in zip(
                *(own[i] for i in np.flatnonzero(owner == place)), strict=True
            )
        ]
        for place in range(len(names))
    ]
    return Statistics(images[0].dtype, mean, variance, owner, pooled)


def pooled(parts: Sequence[Statistics]) -> Statistics:
    """Of images whose statistics were taken one by one, as those of one volume."""
    channels = range(parts[0].mean.shape[1])
    return Statistics(
        parts[0].dtype,
        np.concatenate([one.mean for one in parts]),
        np.concatenate([one.variance for one in parts]),
        np.zeros(sum(len(one.mean) for one in parts), int),
        [[tallies.merge([part.tallies[0][k] for part in parts]) for k in channels]],
    )


def scaling(
    statistics: Statistics, *, name: str, **options
) -> Float32[np.ndarray, "n 4 c"]:
    """Low, high, centre and spread of each image, by the normalisation called `name`.

    Raises:
        ValueError: if there is no such normalisation; lists those there are.
    """
    if name not in NORMALISATIONS:
        raise ValueError(
            f"No normalisation {name!r}; there are: {', '.join(NORMALISATIONS)}."
        )
    return NORMALISATIONS[name](statistics, **options).astype(np.float32)


def apply(
    image: Num[Array, "n *space c"], scaling: Float[Array, "n 4 c"]
) -> Float[Array, "n *space c"]:
    """(clip(image, low, high) - centre) / spread, each example with its own numbers."""
    shape = (len(image),) + (1,) * (image.ndim - 2) + (image.shape[-1],)
    low, high, centre, spread = (scaling[:, k].reshape(shape) for k in range(4))
    return (jnp.clip(image.astype(jnp.float32), low, high) - centre) / spread


def unit(statistics: Statistics) -> np.ndarray:
    """Divides 8-bit images by 255 (reference system 000).

    Others by the largest value of each channel of their volume: their dtype's range says
    nothing of the scanner's. What is below 0 becomes 0.
    """
    count, channels = statistics.mean.shape
    if statistics.dtype == np.uint8:
        numbers = np.array([0, 255, 0, 255])[:, None]
        return np.broadcast_to(numbers, (count, 4, channels))

    def numbers_of(one: Tally, _: Tally) -> tuple[float, ...]:
        top = max(one.values[-1], 0.0)
        return 0.0, top, 0.0, top if top > 0 else 1.0

    return _of_volumes(statistics, numbers_of)


def image_standard(statistics: Statistics) -> np.ndarray:
    """Each image to mean 0 and deviation 1, all channels together (systems 002, 003)."""
    mean = statistics.mean.mean(axis=1)
    between = (statistics.mean - mean[:, None]) ** 2
    deviation = _deviation(mean, (statistics.variance + between).mean(axis=1))
    low, high = _range(statistics.dtype)
    one = np.stack([0 * mean + low, 0 * mean + high, mean, deviation], axis=1)
    return np.repeat(one[:, :, None], statistics.mean.shape[1], axis=2)


def volume_percentile(
    statistics: Statistics,
    *,
    low: float = 1,
    high: float = 99.5,
    together: bool = False,
) -> np.ndarray:
    """Each channel clipped to percentiles of its volume, then to mean 0, deviation 1.

    The percentiles are the channel's own, or with `together` those of all channels. So the
    code of Buda et al. 2019 (10.1016/j.compbiomed.2019.05.002) has it, with low=10 and
    high=99; mean and deviation are each channel's there too.
    """

    def numbers_of(one: Tally, whole: Tally) -> tuple[float, ...]:
        return _clipped_standard(one, whole if together else one, low, high)

    return _of_volumes(statistics, numbers_of)


def brain_percentile(
    statistics: Statistics, *, low: float = 0.5, high: float = 99.5
) -> np.ndarray:
    """As volume_percentile, with statistics of what is not 0: the brain alone.

    For volumes without their skull, whose surroundings are 0, however much of them there
    is: these become as dark as the darkest of the brain.
    """

    def numbers_of(one: Tally, _: Tally) -> tuple[float, ...]:
        there = one.values != 0
        brain = Tally(one.values[there], one.counts[there]) if there.any() else one
        return _clipped_standard(brain, brain, low, high)

    return _of_volumes(statistics, numbers_of)


def volume_unit(
    statistics: Statistics, *, low: float = 1, high: float = 99.5
) -> np.ndarray:
    """Each channel clipped to percentiles of its volume, which become 0 and 1.

    So published weights get the range they were trained with, and volumes of different
    scanners the same brightness.
    """

    def numbers_of(one: Tally, _: Tally) -> tuple[float, ...]:
        bottom, top = (tallies.percentile(one, q) for q in (low, high))
        return bottom, top, bottom, top - bottom if top > bottom else 1.0

    return _of_volumes(statistics, numbers_of)


NORMALISATIONS = {
    function.__name__: function
    for function in (
        unit,
        image_standard,
        volume_percentile,
        volume_unit,
        brain_percentile,
    )
}
ZERO_TO_ONE = ("unit", "volume_unit")


def _clipped_standard(
    one: Tally, counted: Tally, low: float, high: float
) -> tuple[float, ...]:
    """Percentiles of what is counted; mean and deviation of `one`, clipped to them."""
    bottom, top = (tallies.percentile(counted, q) for q in (low, high))
    mean, variance = tallies.moments(
        Tally(np.clip(one.values, bottom, top), one.counts)
    )
    return bottom, top, mean, float(_deviation(mean, variance))


def _of_volumes(statistics: Statistics, numbers_of) -> Float[np.ndarray, "n 4 c"]:
    """Four numbers for each image, from each channel's tally and that of all together."""
    numbers = []
    for volume in statistics.tallies:
        whole = tallies.merge(volume)
        numbers.append([numbers_of(one, whole) for one in volume])
    return np.moveaxis(np.array(numbers, float), 2, 1)[statistics.volume]


def _deviation(mean, variance) -> np.ndarray:
    """Standard deviation; 1 of a constant image, which becomes 0 instead of 0 / 0.

    What is left by rounding, a ten millionth of the mean, is no deviation either.
    """
    deviation = np.sqrt(variance)
    return np.where(deviation > 1e-7 * np.abs(mean), deviation, 1.0)


def _range(dtype: np.dtype) -> tuple[float, float]:
    """The smallest and the largest number that an image can have."""
    if np.issubdtype(dtype, np.integer):
        return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    return float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)
