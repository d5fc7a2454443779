"""Intensity normalisation: clip, subtract, divide, with four numbers per channel.

The numbers come from histograms of the stored 8-bit images on the host; the images stay
8-bit until they are on the device.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, UInt8

LEVELS = 256


def histogram(image: UInt8[np.ndarray, "*space c"]) -> Int[np.ndarray, "c 256"]:
    """How often each value occurs in each channel."""
    channels = image.reshape(-1, image.shape[-1]).T
    return np.stack([np.bincount(channel, minlength=LEVELS) for channel in channels])


def scaling(
    histograms: Int[np.ndarray, "n c 256"], volumes: list[str], *, name: str, **options
) -> Float32[np.ndarray, "n 4 c"]:
    """Low, high, centre and spread of each image, by the normalisation called `name`.

    `volumes[i]` names the volume (patient or folder) that image i belongs to.
    """
    if name not in NORMALISATIONS:
        raise ValueError(
            f"No normalisation {name!r}; there are: {', '.join(NORMALISATIONS)}."
        )
    return NORMALISATIONS[name](histograms, volumes, **options).astype(np.float32)


def apply(
    image: UInt8[Array, "n *space c"], scaling: Float[Array, "n 4 c"]
) -> Float[Array, "n *space c"]:
    """(clip(image, low, high) - centre) / spread, each example with its own numbers."""
    shape = (len(image),) + (1,) * (image.ndim - 2) + (image.shape[-1],)
    low, high, centre, spread = (scaling[:, k].reshape(shape) for k in range(4))
    return (jnp.clip(image.astype(jnp.float32), low, high) - centre) / spread


def unit(histograms: np.ndarray, volumes: list[str]) -> np.ndarray:
    """Divides by 255 (reference system 000)."""
    n, c, _ = histograms.shape
    return np.broadcast_to(np.array([0, 255, 0, 255])[:, None], (n, 4, c))


def image_standard(histograms: np.ndarray, volumes: list[str]) -> np.ndarray:
    """Each image to mean 0 and deviation 1, all channels together (systems 002, 003)."""
    mean, deviation = _moments(histograms.sum(axis=1))
    one = np.stack([0 * mean, 0 * mean + 255, mean, deviation], axis=1)
    return np.repeat(one[:, :, None], histograms.shape[1], axis=2)


def volume_percentile(
    histograms: np.ndarray,
    volumes: list[str],
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
    pooled, owner = _by_volume(histograms, volumes)
    levels = np.arange(LEVELS)
    counted = pooled.sum(axis=1, keepdims=True) if together else pooled
    bottom, top = (
        np.broadcast_to(_percentile(counted, q), pooled.shape[:2]) for q in (low, high)
    )
    mean, deviation = _moments(
        pooled, np.clip(levels, bottom[..., None], top[..., None])
    )
    return np.stack([bottom, top, mean, deviation], axis=1)[owner]


def volume_unit(
    histograms: np.ndarray, volumes: list[str], *, low: float = 1, high: float = 99.5
) -> np.ndarray:
    """Each channel clipped to percentiles of its volume, which become 0 and 1.

    So published weights get the range they were trained with, and volumes of different
    scanners the same brightness.
    """
    pooled, owner = _by_volume(histograms, volumes)
    bottom, top = (_percentile(pooled, q) for q in (low, high))
    spread = np.where(top > bottom, top - bottom, 1.0)
    return np.stack([bottom, top, bottom, spread], axis=1)[owner]


NORMALISATIONS = {
    function.__name__: function
    for function in (unit, image_standard, volume_percentile, volume_unit)
}
ZERO_TO_ONE = ("unit", "volume_unit")


def _by_volume(
    histograms: np.ndarray, volumes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of whole volumes, and which of them each image belongs to."""
    names, owner = np.unique(volumes, return_inverse=True)
    pooled = np.zeros((len(names), *histograms.shape[1:]), histograms.dtype)
    np.add.at(pooled, owner, histograms)
    return pooled, owner


def _moments(
    histograms: np.ndarray, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation along the last axis, of `values` (default: levels)."""
    values = np.arange(LEVELS) if values is None else values
    total = histograms.sum(axis=-1)
    mean = (histograms * values).sum(axis=-1) / total
    variance = (histograms * (values - mean[..., None]) ** 2).sum(axis=-1) / total
    # A constant image has no deviation; it becomes 0 everywhere instead of 0 / 0.
    return mean, np.where(variance > 0, np.sqrt(variance), 1.0)


def _percentile(histograms: np.ndarray, q: float) -> np.ndarray:
    """np.percentile(..., q) of the values counted, interpolated linearly."""
    cumulative = histograms.cumsum(axis=-1)
    rank = q / 100 * (cumulative[..., -1] - 1)
    below, above = (
        (cumulative <= edge(rank)[..., None]).sum(axis=-1)
        for edge in (np.floor, np.ceil)
    )
    return below + (rank - np.floor(rank)) * (above - below)
