"""The worst patients in pictures: truth, prediction, and where the two differ."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from brainseg_jax.data import image_files, sources
from brainseg_jax.inference import looking
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports.parts import example_panels, planes
from brainseg_jax.reports.parts.panels import Panel, draw_panels

Predict = Callable[[int], np.ndarray]  # example -> its predicted labels [*space, 1]
# Of Okabe and Ito's palette, as the figures have it.
MISSED, SPILLED, MISTAKEN = (230, 159, 0), (86, 180, 233), (204, 121, 167)
LEGEND = "missed orange, spilled blue"
OF_SEVERAL = f"{LEGEND}, another class pink"
PREDICTION = (0, 255, 0)  # of a lone class; its truth is red


def draw(
    predict: Predict,
    source: sources.Source,
    scored: Scored,
    said: Mapping[str, str],
    path: str | Path,
    *,
    title: str,
    note: str,
) -> Path:
    """Three panels of the slice, or plane, of each patient with most that is wrong.

    `said` is what to write above each patient's panels, in their order.
    """
    panels = []
    for patient, words in said.items():
        chosen = most_wrong(source, scored, patient)
        panels += _of_example(source, chosen, predict(chosen), f"{patient}\n{words}")
    return draw_panels(
        panels,
        3 if len(said) == 1 else 6,
        path,
        together=3,
        classes=source.info.classes,
        title=f"{title}: the worst patients",
        note=note,
    )


def most_wrong(source: sources.Source, scored: Scored, patient: str) -> int:
    """The slice or volume of a patient with most pixels or voxels wrong."""
    counts = Counts(*(np.asarray(part).sum(1) for part in scored.measured))
    wrong = counts.false_positives + counts.false_negatives
    members = np.flatnonzero(np.array(source.patients) == patient)
    return int(members[np.argmax(wrong[members])])


def errors(
    truth: UInt8[np.ndarray, "*space 1"],
    prediction: UInt8[np.ndarray, "*space 1"],
    members: Sequence[Sequence[int]],
) -> dict[tuple[int, int, int], Bool[np.ndarray, "*space"]]:
    """Where each kind of error is, by its colour; `members` are each class's labels."""
    true, found = (looking.where(mask, members) for mask in (truth, prediction))
    there, marked = true.any(-1), found.any(-1)
    return {
        MISSED: there & ~marked,
        SPILLED: marked & ~there,
        MISTAKEN: there & marked & (true != found).any(-1),
    }


def _of_example(
    source: sources.Source, chosen: int, prediction: np.ndarray, words: str
) -> list[Panel]:
    image, truth = source.read_stored(chosen)
    wrong = errors(truth, prediction, source.info.members)
    plane = planes.choose_plane(image, np.any([*wrong.values()], 0))
    where = f"axial plane {plane[0]}" if plane else f"slice {source.slices[chosen]}"
    grey = example_panels.grey(example_panels.scan(image[plane]))
    masks = (
        ("truth", truth, example_panels.LONE),
        ("prediction", prediction, PREDICTION),
    )
    panels = [
        Panel(
            example_panels.tinted(grey, mask[plane], source.info.classes, lone=colour),
            f"\n{name}",
        )
        for name, mask, colour in masks
    ]
    picture = grey
    for colour, there in wrong.items():
        picture = image_files.overlay(picture, there[plane], colour, opacity=0.75)
    several = len(source.info.classes) > 1
    panels.append(Panel(picture, OF_SEVERAL if several else LEGEND))
    first = Panel(panels[0].picture, f"{words}\n{where}, truth")
    return [first, *panels[1:]]
