"""Two stages: slices are classified, and those called tumour alone are segmented.

Three ways to say whether a slice has a tumour are judged side by side: the classifier, the
masks that the segmenter alone would give, by their area, and both stages together, which
have to agree.
"""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from brainseg_jax.metrics import confusions, overlap, paired, resampling
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.confusions import Matrix
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.metrics.overlap import Counts

Row = dict[str, Any]
Called = Bool[np.ndarray, " n"]
ALONE, TOGETHER = "segmenter_alone", "two_stages"


class Staged(NamedTuple):
    """Every slice of a split, in its order."""

    probability: Float[np.ndarray, " n"]  # of a tumour, by the classifier
    called: Called  # tumour, by the classifier
    alone: Counts  # [n, c] of the segmenter on every slice
    together: Counts  # [n, c] of masks of the called slices, others empty
    marked_true: Int[np.ndarray, " n"]  # pixels
    marked_alone: Int[np.ndarray, " n"]
    marked_together: Int[np.ndarray, " n"]

    @property
    def tumour(self) -> Called:
        """Whether there is any."""
        return self.marked_true > 0


def verdicts(staged: Staged, least_area: int) -> dict[str, Called]:
    """Whether each slice has a tumour: a mask says so by more than `least_area` pixels."""
    return {
        "classifier": staged.called,
        ALONE: staged.marked_alone > least_area,
        TOGETHER: staged.marked_together > least_area,
    }


def confusion(tumour: Called, found: Called) -> Matrix:
    """Slices by truth (row) and verdict (column), each without and with tumour."""
    sure = np.stack([~found, found], -1).astype(float)
    return confusions.confusion(Decided(sure, found.astype(int), tumour.astype(int)))


def wrong_by_patient(
    tumour: Called, found: Called, patients: Sequence[Hashable]
) -> dict[Hashable, tuple[int, int]]:
    """Slices of each patient that are falsely called tumour, and those missed."""
    owner = np.array(patients)
    return {
        name: (
            int((found & ~tumour)[owner == name].sum()),
            int((~found & tumour)[owner == name].sum()),
        )
        for name in dict.fromkeys(patients)
    }


def differences(
    staged: Staged, patients: Sequence[Hashable], empty: str
) -> dict[str, Row]:
    """What two stages gain in Dice over the segmenter alone, with 95 % intervals.

    Over patients pair by pair; over slices patients are drawn with all their slices.
    """
    ours, theirs = (
        scores.by_group(counts, patients)[1]
        for counts in (staged.together, staged.alone)
    )
    gain = dice_of(staged.together, empty) - dice_of(staged.alone, empty)
    return {
        "patient_dice": paired.compare(dice_of(ours, empty), dice_of(theirs, empty)),
        "slice_dice": over_slices(gain, patients),
        "slice_dice_tumour": over_slices(
            np.where(staged.tumour, gain, np.nan), patients
        ),
    }


def dice_of(counts: Counts, empty: str) -> Float[np.ndarray, " n"]:
    """Mean over the classes that have one; nan where none has."""
    return confusions.mean(np.asarray(overlap.dice(counts, empty=empty)))


def over_slices(
    gain: Float[np.ndarray, " n"], patients: Sequence[Hashable]
) -> dict[str, float]:
    """Mean over the slices that have a score, with the interval of whole patients."""
    place = {name: number for number, name in enumerate(dict.fromkeys(patients))}
    owner = np.array([place[name] for name in patients], int)
    drawn = resampling.draws(len(place), resamples=10_000, seed=0)
    low, high = resampling.interval(resampling.drawn_means(gain, owner, drawn))
    return {
        "slices": int((~np.isnan(gain)).sum()),
        "difference": float(confusions.mean(gain)),
        "low": low,
        "high": high,
    }
