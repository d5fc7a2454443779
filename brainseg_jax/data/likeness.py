"""Which pictures are the same, byte for byte or to the eye.

To the eye: pHash of the ImageHash library, 256 bits of the picture's coarse structure. It
holds still under noise, JPEG, contrast and small shifts. It also calls alike what merely
looks so, such as the empty ends of two heads: a pair is a reason to look, no proof.
"""

import hashlib

import imagehash
import numpy as np
from jaxtyping import Int, Shaped, UInt64
from PIL import Image

from brainseg_jax.data import image_files

SIDE = 16  # a hash has its square of bits
BITS = SIDE**2
NEAR = BITS // 10  # bits that near-duplicates differ in, at most
BLOCK = 1024  # hashes that are compared at a time with all others


def digest(image: Shaped[np.ndarray, "*space c"]) -> bytes:
    """Of pixels, type and shape: equal for equal pictures alone."""
    kind = f"{image.dtype.str} {image.shape}".encode()
    return hashlib.blake2b(kind + image.tobytes(), digest_size=16).digest()


def perceptual_hash(image: Shaped[np.ndarray, "h w c"]) -> UInt64[np.ndarray, " words"]:
    """Of the mean of a picture's channels."""
    grey = image_files.as_8_bits(image).mean(-1).astype(np.uint8)
    bits = imagehash.phash(Image.fromarray(grey), hash_size=SIDE).hash
    return np.packbits(bits).view(np.uint64)


def distances(
    first: UInt64[np.ndarray, "n words"], second: UInt64[np.ndarray, "m words"]
) -> Int[np.ndarray, "n m"]:
    """How many bits differ; a word at a time, since all words at once take memory."""
    apart = np.zeros((len(first), len(second)), np.uint16)
    for own, other in zip(first.T, second.T, strict=True):
        apart += np.bitwise_count(own[:, None] ^ other[None])
    return apart
