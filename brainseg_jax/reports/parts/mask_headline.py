"""The scores of masks that a reader asks for first."""

import math
from collections.abc import Mapping
from typing import Any

from brainseg_jax.metrics import dice_by_label
from brainseg_jax.reports.parts import intervals
from brainseg_jax.reports.parts.intervals import with_interval

Row = dict[str, Any]
OWN_CLASS = f"patient_dice_of_{dice_by_label.OWN}"


def headline(summary: dict[str, float], about: Row) -> tuple[dict[str, str], str]:
    """The scores a reader asks for first, and what has to be said below them."""
    one = "volume" if about["dimensions"] == 3 else "slice"
    rows, over = {}, ""
    if OWN_CLASS in summary:
        name = f"mean Dice of {about['patients']} patients' own class, 95 % interval"
        rows[name], over = with_interval(summary, OWN_CLASS), "over all classes: "
    name = f"{over}mean Dice over {about['patients']} patients, 95 % interval"
    rows[name] = with_interval(summary, "patient_dice")
    for name, key in (
        ("median Dice over patients", "patient_dice_median"),
        ("mean IoU over patients", "patient_iou"),
        ("mean precision over patients", "patient_precision"),
        ("mean recall over patients", "patient_recall"),
        (f"mean Dice over {about['slices']} {one}s", "slice_dice"),
        (f"mean Dice over {one}s with tumour", "slice_dice_tumour"),
        (f"{one} detection accuracy (tumour or none)", "slice_detection_accuracy"),
        *_of_pixels(about),
    ):
        if not math.isnan(summary[key]):
            rows[over + name] = intervals.in_words(summary, key)
    said = f"two empty masks score: {about['empty_masks']}"
    return rows | _by_label(summary), said


def _of_pixels(about: Row) -> tuple[tuple[str, str], ...]:
    """Where they were counted."""
    if "calibration_of_pixels" not in about:
        return ()
    counted = "head's pixels" if about["calibration_of_pixels"] == "head" else "pixels"
    return (
        (f"expected calibration error over {counted}", "pixel_ece"),
        (f"Brier score over {counted}", "pixel_brier"),
    )


def _by_label(summary: Mapping[str, float]) -> Row:
    """Rows of the Dice of each label that there are slices of."""
    prefix = "patient_dice_of_"
    return {
        f"mean Dice over patients with {name.removeprefix(prefix).replace('_', ' ')}": (
            with_interval(summary, name)
        )
        for name in summary
        if name.startswith(prefix) and f"{name}_low" in summary
        if name != OWN_CLASS and not math.isnan(summary[name])
    }
