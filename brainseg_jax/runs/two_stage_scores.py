"""What two stages and the segmenter alone mark on every slice of a split."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from rich.progress import track

from brainseg_jax.data.sources import Source
from brainseg_jax.inference.post_processing import Rules
from brainseg_jax.metrics import overlap
from brainseg_jax.metrics.decisions import Decided
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.metrics.two_stages import Staged
from brainseg_jax.runs import mending, predictor, split_scores, temperatures
from brainseg_jax.runs.mending import Labels
from brainseg_jax.runs.predictor import Batched
from brainseg_jax.runs.two_stages import Stage

Called = np.ndarray  # whether the classifier calls each slice tumour


class Masks(NamedTuple):
    """Of one slice."""

    place: int
    alone: Labels  # of the segmenter on all slices of the patient
    together: Labels  # of the two stages
    truth: Labels


# (whether each slice is called, which slices: whole patients) -> their masks
Masker = Callable[[Called, Sequence[int]], Iterator[Masks]]


def classify(stage: Stage, source: Source) -> Decided:
    """At the temperature of the card, decided by the run's own threshold."""
    decided = split_scores.score(stage.restored, source).measured
    if stage.card is None or stage.card.temperature is None:
        return decided
    task = stage.restored.parts.task
    return temperatures.at_temperature(decided, stage.card.temperature, task)


def make_masker(stage: Stage, source: Source) -> Masker:
    """The masks of some patients' slices, mended by the card's rules patient by patient."""
    batched = predictor.make_batched(stage.restored, len(source))
    rules = stage.card.rules if stage.card else Rules()

    def masks(called: Called, places: Sequence[int]) -> Iterator[Masks]:
        predicted = _predicted(batched, source, places)
        for _, own in itertools.groupby(predicted, lambda one: source.patients[one[0]]):
            yield from _mended(list(own), called, rules)

    return masks


def score(decided: Decided, masks: Masker, source: Source) -> Staged:
    """Counts of all slices; of one patient at a time the masks are kept."""
    called = np.asarray(decided.predicted) == 1
    alone, together, marked = [], [], []
    every = track(
        masks(called, range(len(source))),
        "segmenting",
        total=len(source),
        transient=True,
    )
    for one in every:
        alone.append(_counts(one.alone, one.truth, source))
        together.append(_counts(one.together, one.truth, source))
        each = (one.truth, one.alone, one.together)
        marked.append([(labels > 0).sum() for labels in each])
    marked_true, marked_alone, marked_together = np.array(marked, int).T
    return Staged(
        probability=np.asarray(decided.probability)[:, 1],
        called=called,
        alone=_joined(alone),
        together=_joined(together),
        marked_true=marked_true,
        marked_alone=marked_alone,
        marked_together=marked_together,
    )


def _predicted(
    batched: Batched, source: Source, places: Sequence[int]
) -> Iterator[tuple[int, Labels, Labels]]:
    """Predicted and true labels of each, many at a time."""
    for start in range(0, len(places), batched.size):
        some = places[start : start + batched.size]
        read = [source.seen(place) for place in some]
        found = batched.predict(
            [image for image, _ in read], [source.scaling[place] for place in some]
        )
        for place, (_, truth), (_, labels) in zip(some, read, found, strict=True):
            yield place, np.asarray(labels)[0], truth


def _mended(
    own: Sequence[tuple[int, Labels, Labels]], called: Called, rules: Rules
) -> Iterator[Masks]:
    """One patient's masks, with and without those of slices that are not called."""
    predicted = [labels for _, labels, _ in own]
    passed = [
        labels if called[place] else np.zeros_like(labels) for place, labels, _ in own
    ]
    mended = zip(
        own, mending.mend(predicted, rules), mending.mend(passed, rules), strict=True
    )
    for (place, _, truth), alone, together in mended:
        yield Masks(place, alone, together, truth)


def _counts(labels: Labels, truth: Labels, source: Source) -> Counts:
    table = overlap.label_table(labels, truth)
    return overlap.counts_of_labels(table, source.info.members)


def _joined(parts: Sequence[Counts]) -> Counts:
    return Counts(*(np.concatenate(one) for one in zip(*parts, strict=True)))
