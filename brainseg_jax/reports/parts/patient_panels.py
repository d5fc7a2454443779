"""The best, median and worst patient, each by one slice."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from brainseg_jax.data import image_files, sources
from brainseg_jax.data.info import Info
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics.overlap import Counts
from brainseg_jax.reports.parts import mask_tables, planes
from brainseg_jax.reports.parts.mask_panels import Slice

Predict = Callable[[int], np.ndarray]  # example -> its predicted labels [*space, 1]


def choose(
    predict: Predict,
    source: sources.Source,
    scored: Scored,
    dice: Mapping[str, float],
) -> list[Slice]:
    """Rows for mask_panels, each of the slice with the most tumour of its patient.

    Of a patient without tumour, of the slice with the most pixels predicted. `dice` is of
    every patient; those without are left out.
    """
    counts = Counts(*(np.asarray(part).sum(1) for part in scored.measured))
    extent = counts.true_positives + counts.false_negatives
    extent = np.where(extent > 0, extent, counts.false_positives * 1e-6)
    rows = []
    for rank, patient in picks(dice).items():
        members = np.flatnonzero(np.array(source.patients) == patient)
        chosen = int(members[np.argmax(extent[members])])
        kind = [*mask_tables.kind_of(source, [chosen]).values()]
        said = [*kind, f"Dice of the patient {dice[patient]:.2f}"]
        rows.append(_row(rank, said, source, chosen, predict(chosen)))
    return rows


def picks(dice: Mapping[str, float]) -> dict[str, str]:
    """The best, median and worst of the patients that have a score."""
    known = [name for name, value in dice.items() if not np.isnan(value)]
    ranked = sorted(known, key=lambda name: dice[name])
    middle = ranked[(len(ranked) - 1) // 2]  # of an even number the lower
    return {"best": ranked[-1], "median": middle, "worst": ranked[0]}


def _row(
    rank: str,
    said: Sequence[str],
    source: sources.Source,
    chosen: int,
    prediction: np.ndarray,
) -> Slice:
    image, truth = source.read_stored(chosen)
    marked = _marked(truth, source.info)
    if not marked.any():
        marked = _marked(prediction, source.info)
    plane = planes.choose_plane(image, marked)
    where = f"axial plane {plane[0]}" if plane else f"slice {source.slices[chosen]}"
    return Slice(
        label=" · ".join([rank, f"{source.patients[chosen]} {where}", *said]),
        image=image_files.as_8_bits(image[plane]),
        truth=truth[plane],
        prediction=prediction[plane],
    )


def _marked(mask: np.ndarray, info: Info) -> Bool[np.ndarray, "*space"]:
    """Where any class is."""
    labels = [np.atleast_1d(labels) for labels in info.classes.values()]
    return np.isin(mask[..., 0], np.concatenate(labels))
