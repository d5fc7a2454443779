"""A plane to show of an example: of a slice itself, of a volume where most is marked."""

import numpy as np
from jaxtyping import Bool, Shaped, UInt8

LOW, HIGH = 1, 99.5  # percentiles that become black and white


def choose_plane(
    image: Shaped[np.ndarray, "*space c"], marked: Bool[np.ndarray, "*space"]
) -> tuple[int, ...]:
    """What to index an example with for [h, w, ...]: the plane with most that is marked."""
    if image.ndim == 3:
        return ()
    return (int(marked.sum((1, 2)).argmax()),)


def as_8_bits(image: Shaped[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
    """8-bit images as they are; of others each channel between two of its percentiles."""
    if image.dtype == np.uint8:
        return image
    pixels = image.astype(np.float32)
    low, high = np.percentile(pixels, (LOW, HIGH), axis=(0, 1))
    spread = np.where(high > low, high - low, 1)
    return np.rint(np.clip((pixels - low) / spread, 0, 1) * 255).astype(np.uint8)
