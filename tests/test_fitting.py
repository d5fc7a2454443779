"""Images and targets at the network's size: areas averaged, shares of classes kept."""

import numpy as np
import pytest

from brainseg_jax.data import fitting


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_smaller_image_has_the_means_of_areas_in_its_own_dtype(dtype, channels):
    image = np.arange(16 * channels).reshape(4, 4, channels) * 4
    found = fitting.resize_image(image.astype(dtype), (2, 2))
    expected = image.reshape(2, 2, 2, 2, channels).mean((1, 3))
    np.testing.assert_array_equal(found, expected.astype(dtype))
    assert found.dtype == dtype


def test_what_has_the_size_already_is_left_alone():
    image = np.zeros((3, 4, 5, 2), np.int16)
    assert fitting.resize_image(image, (3, 4, 5)) is image


def test_a_volume_is_not_resized():
    with pytest.raises(ValueError, match="volume of 3x4x5 .*config.data.patch"):
        fitting.resize_image(np.zeros((3, 4, 5, 2), np.int16), (2, 2, 2))


def test_shares_of_a_volume_at_its_own_size_are_0_and_1():
    mask = np.random.default_rng(0).choice([0, 1, 2, 4], (3, 4, 5, 1)).astype(np.uint8)
    shares = fitting.area_shares(mask, ([1, 2, 4], 4), (3, 4, 5))
    regions = np.concatenate([mask > 0, mask == 4], axis=-1)
    np.testing.assert_array_equal(shares, 255 * regions)
