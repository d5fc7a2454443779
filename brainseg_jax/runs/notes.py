"""What has to be said wherever scores are shown: LEAKY, CONTAMINATED, VALIDATION, ..."""

import pathlib
from collections.abc import Mapping, Sequence

from brainseg_jax.data import leakage, sources
from brainseg_jax.runs import cards, ensembles, out_of_fold
from brainseg_jax.runs.cards import Card
from brainseg_jax.runs.out_of_fold import Fold
from brainseg_jax.runs.records import Record


def of_model(record: Record, source: sources.Source, split: str) -> str:
    """Of one model's scores on a split."""
    options = record.about.config["data"]
    notes = [source.info.note(options["train"], split)]
    if trained := leakage.known(source.patients, record.about.trained_patients):
        notes.append(f"CONTAMINATED: {len(trained)} patients were trained on")
    if chosen := leakage.known(source.patients, record.choice.patients):
        notes.append(
            f"VALIDATION: the epoch was chosen by {len(chosen)} patients of it"
        )
    if options["only_tumour"]:
        notes.append("only slices with tumour")
    return "; ".join(filter(None, notes))


def of_runs(
    workdir: str | pathlib.Path,
    record: Record,
    source: sources.Source,
    split: str,
    card: Card | None = None,
) -> str:
    """The same, whether several runs are scored as one, and what is said of their card."""
    said = (
        ensembles.said(workdir),
        of_model(record, source, split),
        *(of_card(card, record, source) if card else ()),
    )
    return "; ".join(filter(None, said))


def of_card(card: Card, record: Record, source: sources.Source) -> list[str]:
    """Of how predictions are mended: by whom it was chosen, and what is not taken."""
    found = []
    validated = leakage.known(source.patients, record.about.validation_patients)
    others = {*validated} - {*leakage.known(source.patients, record.choice.patients)}
    if others and card.changes:
        found.append(f"VALIDATION: the card was chosen by {len(others)} patients of it")
    if card.left_out is not None:
        found.append(cards.no_temperature(card.left_out))
    return found


def of_folds(folds: Sequence[Fold]) -> str:
    """What has to be said of any fold's scores."""
    each = [of_model(fold.restored.record, fold.source, fold.split) for fold in folds]
    every = [part for note in each for part in note.split("; ")]
    every.append(out_of_fold.unlike_lengths(folds))
    return "; ".join(filter(None, dict.fromkeys(every)))


def common(notes: Mapping[str, str]) -> str:
    """What has to be said of all that are named, then what of some, with their names."""
    parts = {name: [p for p in note.split("; ") if p] for name, note in notes.items()}
    every = dict.fromkeys(part for own in parts.values() for part in own)
    said = {
        part: [name for name, own in parts.items() if part in own] for part in every
    }
    return "; ".join(
        part if len(names) == len(notes) else f"{', '.join(names)}: {part}"
        for part, names in sorted(said.items(), key=lambda one: -len(one[1]))
    )
