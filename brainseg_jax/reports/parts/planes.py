"""A plane to show of an example: of a slice itself, of a volume where most is marked.

Volumes are stored from below upwards, from behind forwards and from the patient's left to
the right. They are shown as radiologists look at them: the front above, the left on the
right.
"""

import numpy as np
from jaxtyping import Shaped

TURNED = (slice(None, None, -1), slice(None, None, -1))

Plane = tuple[int | slice, ...]


def choose_plane(
    image: Shaped[np.ndarray, "*space c"], marked: Shaped[np.ndarray, "*space"]
) -> Plane:
    """What to index an example with for [h, w, ...]: the plane with most that is marked.

    `marked` may say how much, too. The middle one where nothing is.
    """
    if image.ndim == 3:
        return ()
    areas = marked.sum((1, 2))
    return (int(areas.argmax()) if areas.any() else len(image) // 2, *TURNED)


def middle_plane(image: Shaped[np.ndarray, "*space c"]) -> Shaped[np.ndarray, "h w c"]:
    """A slice itself, of a volume the plane halfway."""
    return image if image.ndim == 3 else image[(len(image) // 2, *TURNED)]


def as_shown(
    seen_from_above: Shaped[np.ndarray, "h w"], dimensions: int
) -> Shaped[np.ndarray, "h w"]:
    """A map of examples of so many axes, turned as their planes are."""
    return seen_from_above[TURNED] if dimensions == 3 else seen_from_above
