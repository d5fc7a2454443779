"""Two models on the same patients: how far apart, how surely, and who wins how often."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats
from jaxtyping import Float

from brainseg_jax.metrics.segmentation import paired_difference

Values = Float[np.ndarray, " n"]
Row = dict[str, Any]


def compare(ours: Values, theirs: Values, *, lower_is_better: bool = False) -> Row:
    """Ours minus theirs: mean, 95 % interval over patients, counts, Wilcoxon's p.

    Patients that either lacks are left out. `lower_is_better`, as of distances, decides
    who counts as better, and nothing else.

    Raises:
        ValueError: if the two are not as many.
    """
    mean, low, high = paired_difference(ours, theirs)
    apart = np.asarray(ours, float) - np.asarray(theirs, float)
    apart = apart[~np.isnan(apart)]
    gained = -apart if lower_is_better else apart
    return {
        "patients": len(apart),
        "difference": mean,
        "low": low,
        "high": high,
        "better": int((gained > 0).sum()),
        "worse": int((gained < 0).sum()),
        "equal": int((apart == 0).sum()),
        "wilcoxon_p": wilcoxon(apart),
    }


def wilcoxon(differences: Values) -> float:
    """Two-sided p of the signed-rank test, zeros left out; nan where all are."""
    # To the six digits of the tables, so that ties are ties.
    moved = np.round(differences, 6)
    moved = moved[moved != 0]
    if not len(moved):
        return math.nan
    return float(scipy.stats.wilcoxon(moved).pvalue)


def all_pairs(
    scores: Mapping[str, Mapping[str, Sequence[float]]],
    lower_is_better: Callable[[str], bool] = lambda score: False,
) -> list[Row]:
    """A row per score and pair of runs; `scores`: score -> run -> a value per patient.

    The later of two runs is compared with the earlier: what it has more is positive.
    """
    return [
        {
            "score": score,
            "run": later,
            "against": earlier,
            **compare(
                np.array(runs[later]),
                np.array(runs[earlier]),
                lower_is_better=lower_is_better(score),
            ),
        }
        for score, runs in scores.items()
        for place, earlier in enumerate(runs)
        for later in list(runs)[place + 1 :]
    ]
