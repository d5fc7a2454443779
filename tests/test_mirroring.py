"""Mirror images know their axes by name, in two and in three dimensions."""

import pytest

from brainseg_jax.inference import mirroring


def test_slices_have_two_directions_and_volumes_three():
    assert mirroring.mirror_axes(("vertical", "horizontal"), 2) == [(1,), (2,), (1, 2)]
    assert mirroring.mirror_axes(("horizontal",), 3) == [(3,)]
    every = mirroring.mirror_axes(("depth", "vertical", "horizontal"), 3)
    assert len(every) == 7 and every[-1] == (1, 2, 3)


def test_slices_have_no_depth():
    with pytest.raises(ValueError, match="'depth'; of images of 2 axes .* vertical"):
        mirroring.mirror_axes(("depth",), 2)
