"""Normalisation from tallies equals NumPy on the pixels themselves, of any dtype."""

import jax.numpy as jnp
import numpy as np
import pytest

from brainseg_jax.data import normalise

DTYPES = ("uint8", "int16", "uint16", "float32")
# Values beyond 8 bits, and below 0 where the dtype goes there.
OFFSET = {"uint8": 0, "int16": -40, "uint16": 300, "float32": -0.5}


@pytest.fixture(params=DTYPES)
def pictures(request):
    rng = np.random.default_rng(0)
    grey = rng.gamma(2, 30, (5, 12, 9, 3)).clip(0, 255)
    scale = 1 if request.param == "uint8" else 7
    return (scale * grey + OFFSET[request.param]).astype(request.param)


@pytest.fixture
def bytes_():
    rng = np.random.default_rng(1)
    return rng.gamma(2, 30, (6, 16, 16, 3)).clip(0, 255).astype(np.uint8)


def normalised(pictures, volumes, **options):
    scaling = normalise.scaling(normalise.statistics(pictures, volumes), **options)
    return np.asarray(normalise.apply(jnp.asarray(pictures), jnp.asarray(scaling)))


def test_unit_divides_by_255_or_by_the_largest_of_the_volume(pictures):
    found = normalised(pictures, list("aabbb"), name="unit")
    for volume in ([0, 1], [2, 3, 4]):
        top = pictures[volume].max((0, 1, 2)) if pictures.dtype != np.uint8 else 255
        expected = pictures[volume].clip(0) / top
        np.testing.assert_allclose(found[volume], expected, rtol=1e-6)


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


def test_brain_percentile_leaves_out_what_is_0(pictures):
    pictures = np.where(pictures > np.median(pictures), pictures, 0).astype(
        pictures.dtype
    )
    pictures[..., 2] = 0  # a sequence that is missing
    found = normalised(pictures, list("abaab"), name="brain_percentile")
    for volume in ([0, 2, 3], [1, 4]):
        for channel in range(2):
            pixels = pictures[volume][..., channel].astype(float)
            brain = pixels[pixels != 0]
            edges = np.percentile(brain, (0.5, 99.5))
            clipped = np.clip(brain, *edges)
            expected = (np.clip(pixels, *edges) - clipped.mean()) / clipped.std()
            result = found[volume][..., channel]
            np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
            assert result.min() == result[pixels == 0].max()
    assert (found[..., 2] == 0).all()


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
        pixels = pictures[volume].astype(float)
        bottom, top = np.percentile(pixels, (low, high), axis=(0, 1, 2))
        expected = np.clip((pixels - bottom) / (top - bottom), 0, 1)
        np.testing.assert_allclose(found[volume], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", normalise.ZERO_TO_ONE)
def test_what_published_weights_get_lies_between_0_and_1(pictures, name):
    found = normalised(pictures, list("abaab"), name=name)
    assert found.min() >= 0 and found.max() <= 1 + 1e-6  # float32


@pytest.mark.parametrize("name", ["image_standard", "volume_percentile", "volume_unit"])
@pytest.mark.parametrize("value, dtype", [(7, np.uint8), (0.1, np.float32)])
def test_a_constant_image_becomes_zero_not_nan(name, value, dtype):
    found = normalised(np.full((1, 4, 4, 3), value, dtype), ["a"], name=name)
    np.testing.assert_allclose(found, np.zeros((1, 4, 4, 3)), atol=1e-6)


def test_some_images_keep_the_statistics_of_their_whole_volumes(bytes_):
    whole = normalise.statistics(bytes_, list("abcabc"))
    every = normalise.scaling(whole, name="volume_percentile")
    some = normalise.scaling(whole.take([5, 1]), name="volume_percentile")
    np.testing.assert_array_equal(some, every[[5, 1]])
    assert len(whole.take([5, 1]).tallies) == 2


def test_bytes_have_the_numbers_that_histograms_of_256_levels_gave(bytes_):
    """The formulas of version 1.0.0, which runs on LGG were trained with."""
    levels = np.arange(256)
    volumes = np.array(list("abbaab"))
    histograms = np.stack(
        [
            [np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)]
            for image in bytes_
        ]
    )
    statistics = normalise.statistics(bytes_, volumes)
    found = normalise.scaling(statistics, name="volume_percentile", low=2, high=97)
    for name in "ab":
        for c in range(3):
            counts = histograms[volumes == name].sum(0)[c]
            cumulative = counts.cumsum()
            edges = []
            for q in (2, 97):
                rank = q / 100 * (cumulative[-1] - 1)
                below, above = (
                    (cumulative <= edge(rank)).sum() for edge in (np.floor, np.ceil)
                )
                edges.append(below + (rank - np.floor(rank)) * (above - below))
            clipped = np.clip(levels, *edges)
            mean = (counts * clipped).sum() / counts.sum()
            variance = (counts * (clipped - mean) ** 2).sum() / counts.sum()
            expected = np.array([*edges, mean, np.sqrt(variance)], np.float32)
            for i in np.flatnonzero(volumes == name):
                np.testing.assert_array_equal(found[i, :, c], expected)
    found = normalise.scaling(statistics, name="image_standard")
    for i, histogram in enumerate(histograms.sum(axis=1)):
        mean = (histogram * levels).sum() / histogram.sum()
        variance = (histogram * (levels - mean) ** 2).sum() / histogram.sum()
        expected = np.array([0, 255, mean, np.sqrt(variance)], np.float32)
        np.testing.assert_array_equal(found[i], np.repeat(expected[:, None], 3, axis=1))


def test_an_unknown_name_lists_what_there_is():
    statistics = normalise.statistics([np.zeros((1, 1, 1), np.uint8)], ["a"])
    with pytest.raises(ValueError, match="'zscore'; there are: unit, image_standard"):
        normalise.scaling(statistics, name="zscore")
