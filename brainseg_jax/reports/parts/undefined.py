"""Scores that are nan whatever a net predicts: nothing to choose an epoch by."""

import math
from collections.abc import Mapping


def require_defined(metric: str, perfect: Mapping[str, float], reason: str) -> None:
    """Refuses config.evaluation.metric where it is nan in the scores of perfection.

    Raises:
        ValueError: with the reason, and what to change.
    """
    if math.isnan(perfect[metric]):
        raise ValueError(
            f"config.evaluation.metric={metric} is not defined on the validation split, "
            f"even for perfect predictions: {reason}. Set another metric, or name other "
            "folds in config.data.validation."
        )
