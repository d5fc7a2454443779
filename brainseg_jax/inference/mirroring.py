"""Mirror images at test time: which ways there are to flip an image."""

import itertools
from collections.abc import Sequence

MIRRORS = {"vertical": 1, "horizontal": 2}  # name -> axis of a batch of images


def mirror_axes(mirror: Sequence[str]) -> list[tuple[int, ...]]:
    """Every way to flip along some of the named directions, but for none at all."""
    if unknown := set(mirror) - MIRRORS.keys():
        raise ValueError(
            f"config.evaluation.mirror has {unknown.pop()!r}; "
            f"it can hold {', '.join(MIRRORS)}."
        )
    axes = [MIRRORS[name] for name in mirror]
    sizes = range(1, len(axes) + 1)
    return [flip for size in sizes for flip in itertools.combinations(axes, size)]
