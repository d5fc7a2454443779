"""A split as devices keep it: of all examples one array, those to cut patches of padded."""

from typing import Any

import numpy as np

from brainseg_jax.data import fitting, memory, patches
from brainseg_jax.data.sources import Source


def arrays_of(source: Source) -> dict[str, Any]:
    """What a step takes whole examples or patches from, once all are decoded.

    Patches are cut out of volumes as large as the largest: each is filled beyond its edge
    as far as a patch may reach.
    """
    numbers: dict[str, Any] = {"label": source.labels, "scaling": source.scaling}
    if source.patches is None:
        if source.together is not None:
            numbers["together"] = source.together
        return {**source.arrays, **numbers}
    space, before = source.patches.common_space, source.patches.before
    kept: dict[str, np.ndarray] = {}
    for i in range(len(source)):
        for name, part in _filled(source, i, before[i], space).items():
            if i == 0:
                kept[name] = np.empty((len(source), *part.shape), part.dtype)
            kept[name][i] = part
    return {**kept, **numbers}


def bytes_of(*sources: Source) -> int:
    """Of images and targets as `arrays_of` has them, told before any is decoded."""
    return sum(map(_bytes_of, sources))


def _bytes_of(source: Source) -> int:
    if source.patches is None:
        return source.decoded_bytes
    return memory.decoded_bytes(
        [source.patches.common_space] * len(source),
        channels=source.scaling.shape[-1],
        dtype=source.info.dtype,
        classes=len(source.fit.classes) if source.fit.target else 0,
    )


def _filled(
    source: Source, i: int, before: np.ndarray, space: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Image and shares of one example, `before` pixels from where the array begins."""
    assert source.patches is not None
    example, fill = source.example(i), source.patches.fill
    image = patches.cut(example["image"], -before, space, fill=fill)
    if "mask" not in example:
        return {"image": image}
    mask = patches.cut(example["mask"], -before, space, fill=fill, empty=0)
    return {
        "image": image,
        "share": fitting.area_shares(mask, source.fit.classes, space),
    }
