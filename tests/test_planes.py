"""Which plane of a volume is shown."""

import numpy as np

from brainseg_jax.reports.parts import planes


def test_of_a_volume_the_plane_with_most_that_is_marked_is_shown():
    marked = np.zeros((4, 3, 3), bool)
    marked[1, 0], marked[2, :2] = True, True
    assert planes.choose_plane(np.zeros((4, 3, 3, 2)), marked) == (2,)
    assert planes.choose_plane(np.zeros((3, 3, 2)), marked[0]) == ()
