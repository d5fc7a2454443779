"""Which pictures are the same, byte for byte or to the eye.

To the eye: pHash of the ImageHash library, 256 bits of the picture's coarse structure. It
holds still under noise, JPEG, contrast and small shifts. It also calls alike what merely
looks so, such as the empty ends of two heads: a pair is a reason to look, no proof.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import imagehash
import numpy as np
from jaxtyping import Int, Shaped, UInt64
from PIL import Image

from brainseg_jax.data import image_files

SIDE = 16  # a hash has its square of bits
BITS = SIDE**2
NEAR = BITS // 10  # bits that near-duplicates differ in, at most
BLOCK = 1024  # hashes compared at a time with all others


class Pair(NamedTuple):
    """Places in two lists of pictures, and how many bits of their hashes differ."""

    first: int
    second: int
    distance: int


def digest(image: Shaped[np.ndarray, "*space c"]) -> bytes:
    """Of pixels, type and shape: equal for equal pictures alone."""
    kind = f"{image.dtype.str} {image.shape}".encode()
    return hashlib.blake2b(kind + image.tobytes(), digest_size=16).digest()


def perceptual_hash(image: Shaped[np.ndarray, "h w c"]) -> UInt64[np.ndarray, " words"]:
    """Of the mean of a picture's channels."""
    grey = image_files.as_8_bits(image).mean(-1).astype(np.uint8)
    bits = imagehash.phash(Image.fromarray(grey), hash_size=SIDE).hash
    return np.packbits(bits).view(np.uint64)


def equal_pairs(
    first: Sequence[bytes], second: Sequence[bytes]
) -> list[tuple[int, int]]:
    """Places of equal digests in two lists."""
    places: dict[bytes, list[int]] = {}
    for place, one in enumerate(second):
        places.setdefault(one, []).append(place)
    return [(i, j) for i, one in enumerate(first) for j in places.get(one, ())]


def near_pairs(
    first: UInt64[np.ndarray, "n words"],
    second: UInt64[np.ndarray, "m words"],
    most: int = NEAR,
) -> list[Pair]:
    """Hashes of two lists that differ in at most so many bits, the nearest first."""
    pairs = []
    for start in range(0, len(first), BLOCK):
        apart = distances(first[start : start + BLOCK], second)
        for i, j in np.argwhere(apart <= most).tolist():
            pairs.append(Pair(start + i, j, int(apart[i, j])))
    return sorted(pairs, key=lambda pair: (pair.distance, pair))


def distances(
    first: UInt64[np.ndarray, "n words"], second: UInt64[np.ndarray, "m words"]
) -> Int[np.ndarray, "n m"]:
    """How many bits differ; a word at a time, since all words at once take memory."""
    apart = np.zeros((len(first), len(second)), np.uint16)
    for own, other in zip(first.T, second.T, strict=True):
        apart += np.bitwise_count(own[:, None] ^ other[None])
    return apart
