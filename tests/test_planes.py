"""Which plane of a volume is shown, and how other than 8 bits are."""

import numpy as np

from brainseg_jax.reports.parts import planes


def test_of_a_volume_the_plane_with_most_that_is_marked_is_shown():
    marked = np.zeros((4, 3, 3), bool)
    marked[1, 0], marked[2, :2] = True, True
    assert planes.choose_plane(np.zeros((4, 3, 3, 2)), marked) == (2,)
    assert planes.choose_plane(np.zeros((3, 3, 2)), marked[0]) == ()


def test_8_bits_stay_as_they_are_and_others_are_stretched():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10, 1)
    np.testing.assert_array_equal(planes.as_8_bits(image), image)
    found = planes.as_8_bits(image.astype(np.int16) * 300 - 5000)
    # From the value of rank 0.99 to that of rank 98.5 of 0 to 99; here rank 50 of them.
    assert found.dtype == np.uint8 and found.min() == 0 and found.max() == 255
    assert found.reshape(-1)[50] == round(255 * (50 - 0.99) / (98.505 - 0.99))


def test_a_constant_image_is_black():
    assert not planes.as_8_bits(np.full((3, 3, 1), 7.0)).any()
