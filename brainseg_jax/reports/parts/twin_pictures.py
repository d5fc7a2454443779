"""Pairs of examples that look the same, side by side."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from brainseg_jax.data.index import Index
from brainseg_jax.data.leakage import Shared, Twins
from brainseg_jax.data.likeness import BITS
from brainseg_jax.reports.parts import example_panels, panels
from brainseg_jax.reports.parts.panels import Panel

MOST = 12  # pairs in a picture

Placed = tuple[Shared, Twins]


def draw_twins(
    found: Sequence[Placed],
    index: Index,
    read: Callable[[int], np.ndarray],
    path: str | Path,
    *,
    total: int,
    title: str,
    note: str = "",
) -> Path:
    """The nearest pair of every two patients first, of those that are `found`.

    `read` gives a row's picture; `total` is how many pairs there are.

    Raises:
        ValueError: if there is no pair.
    """
    chosen = choose(found, index)
    shown = []
    for shared, one in chosen:
        bits = f"{one.distance} of {BITS} bits differ"
        sides = ((shared.first, one.first, bits), (shared.second, one.second, ""))
        for split, row, last in sides:
            where = f"{split}, slice {index.slices[row]}"
            caption = f"{index.patients[row]}\n{where}\n{last}"
            shown.append(Panel(example_panels.scan(read(row)), caption))
    heading = f"{title}: {len(chosen)} of {total:,} pairs"
    return panels.draw_panels(shown, 4, path, together=2, title=heading, note=note)


def choose(found: Sequence[Placed], index: Index, most: int = MOST) -> list[Placed]:
    """A second pair of the same two patients only once all others have one."""
    seen: Counter[tuple[str, str]] = Counter()
    order = []
    for place, (_, one) in enumerate(found):
        patients = index.patients[one.first], index.patients[one.second]
        seen[patients] += 1
        order.append((seen[patients], one.distance, place))
    return [found[place] for *_, place in sorted(order)[:most]]
