"""A plane to show of an example: of a slice itself, of a volume where most is marked."""

import numpy as np
from jaxtyping import Bool, Shaped


def choose_plane(
    image: Shaped[np.ndarray, "*space c"], marked: Bool[np.ndarray, "*space"]
) -> tuple[int, ...]:
    """What to index an example with for [h, w, ...]: the plane with most that is marked."""
    if image.ndim == 3:
        return ()
    return (int(marked.sum((1, 2)).argmax()),)


def middle_plane(image: Shaped[np.ndarray, "*space c"]) -> Shaped[np.ndarray, "h w c"]:
    """A slice itself, of a volume the plane halfway."""
    return image if image.ndim == 3 else image[len(image) // 2]
