"""A score and its interval in words."""

import math
from collections.abc import Mapping


def with_interval(summary: Mapping[str, float], name: str) -> str:
    """Of the scores `name`, `name`_low and `name`_high; one patient has no interval."""
    value, low, high = (summary[f"{name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(value):
        return "not defined"
    if math.isnan(low):
        return f"{value:.3f} (one patient)"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def in_words(summary: Mapping[str, float], name: str) -> str:
    """The same; the score alone where it comes without an interval."""
    known = f"{name}_low" in summary
    return with_interval(summary, name) if known else f"{summary[name]:.3f}"
