"""Digests tell any change, perceptual hashes only one that is seen."""

import io

import numpy as np
import pytest
from PIL import Image

from brainseg_jax.data import likeness
from datasets.synthetic import phantom

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def heads():
    """Two heads, two centimetres above their middle and below it."""
    subjects = [phantom.make_subject(np.random.default_rng([5, n]), 6) for n in (1, 2)]
    return [image for subject in subjects for image in subject.images[[2, 4]]]


def as_jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=70)
    return np.array(Image.open(file))


CHANGES = {
    "contrast": lambda image: (image * 0.8 + 6).astype(np.uint8),
    "noise": lambda image: np.clip(
        image + RNG.normal(0, 4, image.shape), 0, 255
    ).astype(np.uint8),
    "JPEG": as_jpeg,
    "two pixels aside": lambda image: np.roll(image, 2, 1),
    "size": lambda image: image[::2, ::2],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_near_and_not_equal(heads, change):
    for head in heads:
        other = change(head)
        assert likeness.digest(other) != likeness.digest(head)
        pair = np.stack([likeness.perceptual_hash(one) for one in (head, other)])
        assert likeness.distances(pair[:1], pair[1:])[0, 0] <= likeness.NEAR


def test_other_slices_and_other_heads_are_not_near(heads):
    hashes = np.stack([likeness.perceptual_hash(head) for head in heads])
    others = ~np.eye(len(heads), dtype=bool)
    assert likeness.distances(hashes, hashes)[others].min() > likeness.NEAR


def test_a_digest_is_of_pixels_type_and_shape():
    image = np.arange(12, dtype=np.uint8).reshape(2, 6, 1)
    others = [image.astype(np.uint16), image.reshape(3, 4, 1), image + 1]
    digests = {likeness.digest(one) for one in (image, *others)}
    assert len(digests) == 4 and likeness.digest(image.copy()) in digests


def test_distances_are_bits_that_differ():
    first = np.array([[0, 0], [1, 2**63]], np.uint64)
    second = np.array([[0, 0], [3, 0], [2**64 - 1, 0]], np.uint64)
    # Of 1 and 3 one bit, of 2 ** 63 and 0 another; of 1 and 64 ones 63, and that one.
    np.testing.assert_array_equal(
        likeness.distances(first, second), [[0, 2, 64], [2, 2, 64]]
    )
