"""What is mended of a mask after it was predicted: small parts, and labels too rare to be.

Rules are chosen by the scores of a validation split, never of a test split.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

LEAST_PARTS = (10, 50, 100, 500, 1000)  # voxels, that are tried
LEAST_PIXELS = (5, 10, 25, 50, 100, 200)  # of parts of a slice
LEAST_RARE = (20, 50, 100, 200, 500)

Labels = UInt8[np.ndarray, "*space 1"]


class Rules(NamedTuple):
    """All off by default. Parts are what touches, at corners too, of whatever label."""

    largest: bool = False  # keep the largest part alone
    least_part: int = 0  # voxels; smaller parts become background
    rare: int = 0  # a label that, in all of a volume
    least_rare: int = 0  # has fewer voxels than this
    becomes: int = 0  # becomes this label


def candidates(painting: Sequence[tuple[str, int]]) -> Iterator[Rules]:
    """Every combination that is tried, that which changes nothing first.

    What is painted last, as BraTS's enhancing tumour, becomes what lies below it.
    """
    plain = Rules()
    parts = [plain, Rules(largest=True)]
    parts += [Rules(least_part=least) for least in LEAST_PARTS]
    rare = [plain]
    if len(painting) > 1:
        (_, below), (_, last) = painting[-2:]
        rare += [Rules(rare=last, least_rare=n, becomes=below) for n in LEAST_RARE]
    for one, other in itertools.product(parts, rare):
        yield other._replace(largest=one.largest, least_part=one.least_part)


def apply(labels: Labels, rules: Rules) -> Labels:
    """The mask of one example by all rules: parts first, then rare labels."""
    if rules.largest or rules.least_part:
        labels = _keep_parts(labels, rules)
    count = int((labels == rules.rare).sum())
    if rules.least_rare and count < rules.least_rare:
        labels = np.where(labels == rules.rare, np.uint8(rules.becomes), labels)
    return labels


def _keep_parts(labels: Labels, rules: Rules) -> Labels:
    marked = labels[..., 0] > 0
    parts, count = ndimage.label(marked, np.ones((3,) * marked.ndim))
    if not count:
        return labels
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    kept = sizes >= max(rules.least_part, 1)
    if rules.largest:
        kept &= np.arange(len(sizes)) == sizes.argmax()
    return np.where(kept[parts][..., None], labels, np.uint8(0))


def apply_to_slices(
    labels: UInt8[np.ndarray, "s *space 1"], rules: Rules
) -> UInt8[np.ndarray, "s *space 1"]:
    """Of one patient's slices in order: small parts by slice, the largest through all."""
    in_slice = rules._replace(largest=False)
    mended = np.stack([apply(one, in_slice) for one in labels])
    return apply(mended, Rules(largest=rules.largest))


def slice_candidates() -> Iterator[Rules]:
    """Every combination that is tried of slices, that which changes nothing first."""
    for largest, least in itertools.product((False, True), (0, *LEAST_PIXELS)):
        yield Rules(largest=largest, least_part=least)
