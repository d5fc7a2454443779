"""Parts of examples: where they lie, a pure function of (seed, step), and cutting them."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Num

STREAM = 3  # of random numbers; data/order.py has 0 to 2


@dataclasses.dataclass(frozen=True)
class Patches:
    """What is cut out of the examples of a split."""

    size: tuple[int, ...]
    shapes: Sequence[tuple[int, ...]]  # of the examples
    places: Sequence[Int[np.ndarray, "k d"]]  # some of each example's foreground
    foreground_share: float  # of the patches that have foreground in their middle
    fill: str  # beyond the edge of an example: "edge" or "empty", as in `cut`

    def corners(
        self, examples: Int[np.ndarray, " b"], *, seed: int, step: int
    ) -> Int[np.ndarray, "b d"]:
        """Where each patch of a batch begins on each axis, in pixels of its example.

        The share `foreground_share` of a run's patches has foreground in the middle, or as
        near to it as the edge allows. The others lie anywhere within their example, and so
        do all patches of an example without foreground. An example that is smaller than
        its patch lies in the patch's middle: the patch then begins below 0.
        """
        first = step * len(examples)
        return np.stack(
            [
                self._corner(int(example), seed, first + place)
                for place, example in enumerate(examples)
            ]
        )

    @functools.cached_property
    def before(self) -> Int[np.ndarray, "n d"]:
        """How far before the beginning of each example its patches may begin."""
        return np.maximum(np.array(self.size) - np.array(self.shapes), 0) // 2

    @property
    def common_space(self) -> tuple[int, ...]:
        """What holds every example, with what its patches may have beyond its edge."""
        return tuple(np.maximum(np.max(self.shapes, axis=0), self.size).tolist())

    def _corner(self, example: int, seed: int, drawn: int) -> Int[np.ndarray, " d"]:
        rng = np.random.default_rng((seed, STREAM, drawn))
        patch = np.array(self.size)
        room = np.array(self.shapes[example]) - patch
        share, places = self.foreground_share, self.places[example]
        due = int((drawn + 1) * share) > int(drawn * share)
        if due and len(places):
            corner = places[rng.integers(len(places))] - patch // 2
        else:
            corner = rng.integers(np.maximum(room, 0) + 1)
        # What is smaller than a patch lies in its middle.
        return np.where(
            room < 0, -(-room // 2), np.clip(corner, 0, np.maximum(room, 0))
        )


def cut(
    pixels: Num[np.ndarray, "*space c"],
    corner: Sequence[int] | np.ndarray,
    size: Sequence[int],
    *,
    fill: str,
    empty: Num[np.ndarray, " c"] | int | None = None,
) -> Num[np.ndarray, "*size c"]:
    """The part of `size` at `corner`; `fill` says what lies beyond the edge.

    Args:
        fill: "edge", which goes on, or "empty"; as in config.augment.fill.
        empty: values for the fill "empty"; None: the darkest of each channel.
    """
    space = pixels.shape[:-1]
    spans = list(zip(corner, size, space, strict=True))
    inside = tuple(
        slice(max(start, 0), min(start + length, whole))
        for start, length, whole in spans
    )
    beyond = [
        (max(-start, 0), max(start + length - whole, 0))
        for start, length, whole in spans
    ]
    part = pixels[inside]
    if not any(map(any, beyond)):
        return part
    if fill == "edge":
        return np.pad(part, [*beyond, (0, 0)], "edge")
    filled = np.empty((*size, pixels.shape[-1]), pixels.dtype)
    filled[:] = pixels.min(tuple(range(len(space)))) if empty is None else empty
    middle = tuple(
        slice(before, before + length)
        for (before, _), length in zip(beyond, part.shape, strict=False)
    )
    filled[middle] = part
    return filled
