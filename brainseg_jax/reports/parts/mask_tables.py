"""Tables of masks: counts and ratios by slice and by patient."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from brainseg_jax.data import sources
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics import mask_shapes, overlap
from brainseg_jax.metrics import segmentation as scores
from brainseg_jax.metrics.mask_shapes import Shapes
from brainseg_jax.metrics.overlap import Counts

Row = dict[str, Any]
TVERSKY = {"alpha": 0.3, "beta": 0.7}  # false positives and misses, as in the loss


def by_slice(
    scored: Scored, source: sources.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per slice and class: its origin, its kind, counts, ratios and distances."""
    rows = [
        {
            "key": source.keys[i],
            "patient": source.patients[i],
            "slice": source.slices[i],
            **kind_of(source, [i]),
            "loss": float(scored.loss[i]),
        }
        for i in range(len(source))
    ]
    table = _with_counts(rows, scored.measured, classes, empty)
    return _joined(table, _columns(scored.shapes))


def by_patient(
    scored: Scored, source: sources.Source, classes: Sequence[str], empty: str
) -> list[Row]:
    """A row per patient and class: its kind, counts and ratios over the whole volume.

    Distances and lesions are means over slices or volumes, as mask_shapes.of_groups says,
    or of a patient's stacked slices; the table says which.
    """
    names, volumes = scores.by_group(scored.measured, source.patients)
    members: dict[Hashable, list[int]] = {name: [] for name in names}
    for i, name in enumerate(source.patients):
        members[name].append(i)
    rows = [
        {"patient": name, "slices": len(own), **kind_of(source, own)}
        for name, own in members.items()
    ]
    table = _with_counts(rows, volumes, classes, empty)
    shapes = _of_patients(scored, list(members.values()))
    table = _joined(table, _columns(shapes))
    if shapes is not None:
        said = {mask_shapes.OF_PATIENT: shapes.measured.of_patient}
        table = [{**row, **said} for row in table]
    if not len(source.spacings):
        return table
    return _joined(table, _millilitres(scored.measured, source, members))


def _of_patients(scored: Scored, members: Sequence[Sequence[int]]) -> Shapes | None:
    if scored.shapes is None:
        return None
    if scored.shapes.stacked is not None:
        return scored.shapes._replace(values=scored.shapes.stacked)
    return mask_shapes.of_groups(scored.shapes, scored.measured, members)


def _columns(shapes: Shapes | None) -> list[Row]:
    """A row per example and class: distances, lesions, and how they were measured."""
    if shapes is None:
        return []
    measured = shapes.measured
    said = {
        "convention": measured.convention,
        "tolerance": measured.tolerance,
        "unit": measured.unit,
    }
    flat = {name: own.reshape(-1).tolist() for name, own in shapes.values.items()}
    each = zip(*flat.values(), strict=True)
    return [
        dict(zip(flat, (round(one, 6) for one in own), strict=True)) | said
        for own in each
    ]


def _joined(table: list[Row], others: list[Row]) -> list[Row]:
    """Each row with what is added to it, where something is."""
    if not others:
        return table
    return [{**row, **own} for row, own in zip(table, others, strict=True)]


def _millilitres(
    counts: Counts, source: sources.Source, members: Mapping[Hashable, list[int]]
) -> list[Row]:
    """A row per patient and class: the size of the truth and of the prediction."""
    voxel = np.prod(np.array(source.spacings), axis=1)[:, None] / 1000
    true, found = (
        voxel * (np.asarray(counts.true_positives) + np.asarray(other))
        for other in (counts.false_negatives, counts.false_positives)
    )
    return [
        {"ml_true": round(one, 3), "ml_predicted": round(other, 3)}
        for own in members.values()
        for one, other in zip(
            true[own].sum(0).tolist(), found[own].sum(0).tolist(), strict=True
        )
    ]


def kind_of(source: sources.Source, members: Sequence[int]) -> Row:
    """The column "label": what these slices are of, where the data set says it."""
    if not (kinds := source.info.kinds):
        return {}
    own = sorted({int(source.labels[i]) for i in members})
    return {"label": "+".join(kinds[place] for place in own)}


def _with_counts(
    rows: list[Row], counts: Counts, classes: Sequence[str], empty: str
) -> list[Row]:
    ratios = {
        "dice": overlap.dice(counts, empty=empty),
        "iou": overlap.iou(counts, empty=empty),
        "tversky": overlap.tversky(counts, **TVERSKY, empty=empty),
        "precision": overlap.precision(counts, empty=empty),
        "recall": overlap.recall(counts, empty=empty),
        "specificity": overlap.specificity(counts, empty=empty),
        "volume_difference": overlap.volume_difference(counts),
    }
    return [
        {
            **row,
            "class": name,
            **{key: int(part[i, c]) for key, part in counts._asdict().items()},
            **{key: round(float(part[i, c]), 6) for key, part in ratios.items()},
            "empty_masks": empty,
        }
        for i, row in enumerate(rows)
        for c, name in enumerate(classes)
    ]
