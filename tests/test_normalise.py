"""Normalisation from histograms equals NumPy on the pixels themselves."""

import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.data import normalise


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return (rng.gamma(2, 30, (5, 12, 9, 3)).clip(0, 255)).astype(np.uint8)


def normalised(pictures, volumes, **options):
    histograms = np.stack([normalise.histogram(picture) for picture in pictures])
    scaling = normalise.scaling(histograms, volumes, **options)
    return np.asarray(normalise.apply(jnp.asarray(pictures), jnp.asarray(scaling)))


def test_unit_divides_by_255(pictures):
    found = normalised(pictures, list("abcde"), name="unit")
    np.testing.assert_allclose(found, pictures / 255, rtol=1e-6)


def test_image_standard_uses_all_channels_of_one_image(pictures):
    found = normalised(pictures, ["same"] * 5, name="image_standard")
    for image, result in zip(pictures, found, strict=True):
        expected = (image - image.mean()) / image.std()
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("low, high", [(1, 99.5), (10, 99), (0, 100)])
def test_volume_percentile_uses_all_slices_of_a_volume(pictures, low, high):
    options = {"name": "volume_percentile", "low": low, "high": high}
    found = normalised(pictures, list("abaab"), **options)
    for volume in ([0, 2, 3], [1, 4]):
        pixels = pictures[volume].astype(float)
        edges = np.percentile(pixels, (low, high), axis=(0, 1, 2))
        clipped = np.clip(pixels, *edges)
        expected = (clipped - clipped.mean((0, 1, 2))) / clipped.std((0, 1, 2))
        np.testing.assert_allclose(found[volume], expected, rtol=1e-4, atol=1e-5)


def test_percentiles_of_all_channels_together_are_those_of_budas_code(pictures):
    options = {"name": "volume_percentile", "low": 10, "high": 99, "together": True}
    found = normalised(pictures, list("abaab"), **options)
    for volume in ([0, 2, 3], [1, 4]):
        # normalize_volume of brain-segmentation-pytorch, whose stretch between the
        # percentiles is undone by the mean and deviation of each channel.
        pixels = pictures[volume].astype(float)
        edges = np.percentile(pixels, 10), np.percentile(pixels, 99)
        clipped = np.clip(pixels, *edges)
        expected = (clipped - clipped.mean((0, 1, 2))) / clipped.std((0, 1, 2))
        np.testing.assert_allclose(found[volume], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("low, high", [(1, 99.5), (0, 100)])
def test_volume_unit_stretches_a_volume_from_0_to_1(pictures, low, high):
    options = {"name": "volume_unit", "low": low, "high": high}
    found = normalised(pictures, list("abaab"), **options)
    for volume in ([0, 2, 3], [1, 4]):
        bottom, top = np.percentile(pictures[volume], (low, high), axis=(0, 1, 2))
        expected = np.clip((pictures[volume] - bottom) / (top - bottom), 0, 1)
        np.testing.assert_allclose(found[volume], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", normalise.ZERO_TO_ONE)
def test_what_published_weights_get_lies_between_0_and_1(pictures, name):
    found = normalised(pictures, list("abaab"), name=name)
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("name", ["image_standard", "volume_percentile", "volume_unit"])
def test_a_constant_image_becomes_zero_not_nan(name):
    found = normalised(np.full((1, 4, 4, 3), 7, np.uint8), ["a"], name=name)
    np.testing.assert_array_equal(found, np.zeros((1, 4, 4, 3)))


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ValueError, match="'zscore'; there are: unit, image_standard"):
        normalise.scaling(np.ones((1, 1, 256), int), ["a"], name="zscore")
