"""Which plane of a volume is shown, and which way round."""

import numpy as np

from brainseg_jax.reports.parts import planes


def test_of_a_volume_the_plane_with_most_that_is_marked_is_shown():
    marked = np.zeros((4, 3, 3), bool)
    marked[1, 0], marked[2, :2] = True, True
    assert planes.choose_plane(np.zeros((4, 3, 3, 2)), marked)[0] == 2
    assert planes.choose_plane(np.zeros((3, 3, 2)), marked[0]) == ()
    assert planes.choose_plane(np.zeros((5, 3, 3, 2)), marked & False)[0] == 2


def test_the_front_is_above_and_the_left_on_the_right():
    # Stored from behind forwards and from left to right.
    plane = np.array([[["left behind"], ["right behind"]], [["left front"], ["right"]]])
    volume = np.stack([plane, plane, plane])
    shown = [["right", "left front"], ["right behind", "left behind"]]
    marked = np.ones((3, 2, 2), bool)
    assert volume[planes.choose_plane(volume, marked)][..., 0].tolist() == shown
    assert planes.middle_plane(volume)[..., 0].tolist() == shown
    assert planes.as_shown(plane[..., 0], 3).tolist() == shown
    assert planes.as_shown(plane[..., 0], 2).tolist() == plane[..., 0].tolist()
