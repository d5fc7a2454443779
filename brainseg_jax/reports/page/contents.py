"""The parts of a report in their order: as one HTML page, and as a model card."""

from collections.abc import Sequence
from typing import NamedTuple

from brainseg_jax.reports.page import as_html, as_markdown
from brainseg_jax.reports.page.blocks import Alert, Block, Picture, Section
from brainseg_jax.reports.page.card_sections import NOT_FOR_DIAGNOSIS

# File -> what it shows; what else a report draws, its task says.
OF_TRAINING = {
    "training.png": "Loss, validation scores and learning rate by epoch.",
}
OF_FOLDS = {
    "folds.png": "Every patient's score by fold, and over all folds.",
}
OF_FAILURES = {
    "failures.png": "Where they went wrong.",
}
# Of postprocess/, where a card was chosen on validation data: also the parts of a summary
# with any of which they belong to the report.
CHOSEN = {
    "thresholds.png": (
        "Dice and IoU by threshold, on validation data.",
        {"calibration", "post_processing"},
    ),
    "calibration.png": (
        "Reliability with and without the card's temperature, on validation data.",
        {"calibration"},
    ),
}


class Contents(NamedTuple):
    """Every section of a report; `card` are those that only describe."""

    title: str
    notes: Sequence[str]  # PHANTOM, LEAKY, ...
    leaks: Section
    scores: Section
    figures: Sequence[Picture]
    failures: Section
    patients: Section
    limits: Section
    card: Sequence[Section]


def page(told: Contents) -> str:
    """report.html, with the leak audit before all else."""
    sections = [
        told.leaks,
        told.scores,
        Section("Figures", told.figures),
        told.failures,
        told.patients,
        Section("Model card", [told.limits, *told.card]),
    ]
    return as_html.document(told.title, _top(told), [s for s in sections if s.blocks])


def model_card(told: Contents) -> str:
    """model_card.md: without figures that are not of failures, and without patients."""
    sections = [told.limits, told.leaks, *told.card, told.scores, told.failures]
    top = [Alert(note) for note in told.notes]
    return as_markdown.document(f"Model card: {told.title}", top, sections)


def _top(told: Contents) -> list[Block]:
    return [*(Alert(note) for note in told.notes), Alert(NOT_FOR_DIAGNOSIS)]
