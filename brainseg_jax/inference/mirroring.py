"""Mirror images at test time: the flips to average over."""

import itertools
from collections.abc import Sequence

MIRRORS = {"vertical": 1, "horizontal": 2}  # name -> axis of a batch of images


def mirror_axes(mirror: Sequence[str]) -> list[tuple[int, ...]]:
    """Every combination of the named flips, as axes; the image as it is is not among them.

    Raises:
        ValueError: if a name is not one of MIRRORS.
    """
    if unknown := set(mirror) - MIRRORS.keys():
        raise ValueError(
            f"config.evaluation.mirror has {unknown.pop()!r}; "
            f"it can hold {', '.join(MIRRORS)}."
        )
    axes = [MIRRORS[name] for name in mirror]
    sizes = range(1, len(axes) + 1)
    return [flip for size in sizes for flip in itertools.combinations(axes, size)]
