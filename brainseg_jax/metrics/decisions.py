"""A classifier's predictions, and the names of their columns in tables."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float, Int

from brainseg_jax.metrics.overlap import AnyArray


class Decided(NamedTuple):
    """Predictions for some images, beside the images' labels."""

    probability: Float[AnyArray, "n c"]
    predicted: Int[AnyArray, " n"]
    label: Int[AnyArray, " n"]


def probability_columns(
    classes: Sequence[str], probability: Float[AnyArray, " c"]
) -> dict[str, float]:
    """A column for each class."""
    return {
        f"probability_{key_of(name)}": round(float(value), 6)
        for name, value in zip(classes, probability, strict=True)
    }


def key_of(name: str) -> str:
    """A class's name as part of the name of a score or column."""
    return name.replace(" ", "_")
