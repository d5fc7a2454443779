"""Mirror images at test time: which ways there are to flip an image."""

import itertools
from collections.abc import Sequence

# Number of spatial axes -> direction -> its axis in a batch of images.
MIRRORS = {
    2: {"vertical": 1, "horizontal": 2},
    3: {"depth": 1, "vertical": 2, "horizontal": 3},
}


def mirror_axes(mirror: Sequence[str], dimensions: int) -> list[tuple[int, ...]]:
    """Every way to flip along some of the named directions, but for none at all.

    Raises:
        ValueError: for a direction that images of so many axes do not have.
    """
    known = MIRRORS[dimensions]
    if unknown := set(mirror) - known.keys():
        raise ValueError(
            f"config.evaluation.mirror has {unknown.pop()!r}; "
            f"of images of {dimensions} axes it can hold {', '.join(known)}."
        )
    axes = [known[name] for name in mirror]
    sizes = range(1, len(axes) + 1)
    return [flip for size in sizes for flip in itertools.combinations(axes, size)]
