"""Which rows of a data set's index make a split, in the order that they are used in."""

from collections.abc import Sequence

from brainseg_jax.data.index import Index
from brainseg_jax.data.info import Info


def rows_of(
    index: Index,
    info: Info,
    split: str,
    splits: Sequence[str],
    *,
    only_tumour: bool,
) -> list[int]:
    """Of "fold_0+fold_1", official folds or a leaky split, by patient and slice.

    `splits` are those that are stored; the others are lists of keys.

    Raises ValueError for an unknown split, one named twice and one without examples.
    """
    _check(split, splits, info)
    parts = split.split("+")
    if split in info.leaky:
        chosen, column = set(info.leaky[split]), index.keys
    elif parts[0] in info.official:
        chosen = {key for part in parts for key in info.official[part]}
        column = index.keys
    else:
        chosen, column = set(parts), index.splits
    rows = [
        row
        for row in range(len(index))
        if column[row] in chosen and (index.foreground[row] or not only_tumour)
    ]
    if not rows:
        raise ValueError(f"Split {split!r} of {info.name} has no examples to use.")
    return sorted(rows, key=lambda row: (index.patients[row], index.slices[row]))


def _check(split: str, splits: Sequence[str], info: Info) -> None:
    if split in info.leaky:
        return
    parts = split.split("+")
    known = info.official if parts[0] in info.official else splits
    if missing := [part for part in parts if part not in known]:
        raise ValueError(
            f"{info.name} has no split {missing[0]!r} (asked for: {split!r}); there are: "
            f"{', '.join([*splits, *info.official, *info.leaky])}."
        )
    if len(set(parts)) < len(parts):
        raise ValueError(
            f"{split!r} names a split of {info.name} twice; its slices would count twice."
        )
