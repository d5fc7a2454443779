"""What the models of a cross-validation say of patients that they have not seen, as one.

Every example is scored and predicted by the model whose test fold it is of.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from brainseg_jax.data.sources import Source
from brainseg_jax.inference.pixel_counts import Pixels
from brainseg_jax.inference.scoring import Scored
from brainseg_jax.metrics.mask_shapes import Shapes
from brainseg_jax.runs import predictor, resume
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored

SPLIT = "out_of_fold"  # the name of all test folds together
KEPT = 8  # predicted examples, of which pictures are drawn
OF_FOLDS = ("data.train", "data.validation", "data.test")  # what folds differ in
OTHER_PATIENTS = (
    "{}: the data set was prepared anew since its first fold was trained, and patients lie "
    "in other folds now. Give --mode=crossval another --workdir, or the "
    "--config.data.data_dir that it began with."
)

Row = dict[str, Any]
Joiner = Callable[..., np.ndarray]


class Fold(NamedTuple):
    """A model, and the split that it is tested on."""

    split: str
    restored: Restored
    source: Source


def splits_of(folds: Sequence[Fold]) -> str:
    """What all are asked of, as a config names splits together."""
    return "+".join(fold.split for fold in folds)


def pool(scored: Sequence[Scored], parts: Sequence[Source], whole: Source) -> Scored:
    """Scores of all parts in the order of the split that they make together."""
    by_example = _joiner([part.keys for part in parts], whole.keys)
    by_patient = _joiner([part.patients for part in parts], whole.patients)
    return Scored(
        by_example(*(one.loss for one in scored)),
        jax.tree.map(by_example, *(one.measured for one in scored)),
        _pool_shapes([one.shapes for one in scored], by_example, by_patient),
        _pool_pixels([one.pixels for one in scored], by_patient),
    )


def _joiner(parts: Sequence[Sequence[str]], whole: Sequence[str]) -> Joiner:
    """Joins arrays with a row per name of each part, in the order of the whole."""
    names = [name for part in parts for name in dict.fromkeys(part)]
    place = {name: number for number, name in enumerate(names)}
    order = np.array([place[name] for name in dict.fromkeys(whole)])
    return lambda *arrays: np.concatenate(arrays)[order]


def _pool_shapes(
    shapes: Sequence[Shapes | None], by_example: Joiner, by_patient: Joiner
) -> Shapes | None:
    """None where nobody looked, or folds were not measured alike."""
    known = [one for one in shapes if one is not None]
    if not known:
        return None
    first, *others = known
    if any(one.measured != first.measured for one in others):
        logging.warning(
            "Surface distances were not measured alike in all folds (%s): the pooled "
            "report is without them.",
            " and ".join(dict.fromkeys(str(one.measured) for one in known)),
        )
        return None
    stacked = [one.stacked for one in known if one.stacked is not None]
    return Shapes(
        _each([one.values for one in known], by_example),
        first.measured,
        _each(stacked, by_patient) if stacked else None,
    )


def _each(
    values: Sequence[Mapping[str, np.ndarray]], joined: Joiner
) -> dict[str, np.ndarray]:
    return {name: joined(*(one[name] for one in values)) for name in values[0]}


def _pool_pixels(pixels: Sequence[Pixels | None], by_patient: Joiner) -> Pixels | None:
    known = [one for one in pixels if one is not None]
    if not known:
        return None
    tallies = by_patient(*(one.tallies for one in known))
    return Pixels(tallies, known[0].policy)


def fold_of_patients(folds: Sequence[Fold]) -> dict[str, str]:
    """The split that each patient is tested in."""
    return {
        patient: fold.split
        for fold in folds
        for patient in dict.fromkeys(fold.source.patients)
    }


def numbers_of(folds: Sequence[Fold]) -> dict[str, int]:
    """The place in `folds` of each patient's own: of the model that has not seen it."""
    return {
        patient: place
        for place, fold in enumerate(folds)
        for patient in fold.source.patients
    }


def unlike_lengths(folds: Sequence[Fold]) -> str:
    """What has to be said while some folds were not extended yet; else ""."""
    records = [fold.restored.record for fold in folds]
    epochs = {len(record.progress.history) for record in records}
    may_differ = any(
        record.about.config["evaluation"]["patience"] for record in records
    )
    if len(epochs) == 1 or may_differ:
        return ""
    return f"UNFINISHED: folds were trained for {min(epochs)} to {max(epochs)} epochs"


def make_labeller(folds: Sequence[Fold], whole: Source) -> Callable[[int], Any]:
    """Predicted labels of an example of `whole`, each by the model that has not seen it."""
    number = numbers_of(folds)
    labeller = functools.cache(
        lambda place: predictor.make_labeller(folds[place].restored)
    )

    @functools.lru_cache(maxsize=KEPT)
    def labels(index: int) -> Any:
        label = labeller(number[whole.patients[index]])
        return label(whole.seen(index)[0], whole.scaling[index])

    return labels


def joined(abouts: Sequence[About]) -> About:
    """What is said of all folds' runs together: the first's, tested on every fold.

    Raises:
        ValueError: if they are not of one config, or of other patients' folds.
    """
    first = abouts[0]
    for other in abouts[1:]:
        _check_alike(first, other)
    data = {**first.config["data"], "test": SPLIT}
    return dataclasses.replace(first, config={**first.config, "data": data})


def _check_alike(first: About, other: About) -> None:
    """Folds that were copied, or trained by themselves, may be of anything."""
    names = [about.config["data"]["test"] for about in (first, other)]
    unlike = resume.differences(first.config, other.config)
    for key, (ours, theirs) in unlike.items():
        if key not in OF_FOLDS:
            raise ValueError(
                f"{names[0]} and {names[1]} are not of one cross-validation: config.{key} "
                f"is {ours} in the one and {theirs} in the other. Delete the folder of the "
                "one that is not meant, and --mode=crossval trains it anew."
            )
    if first.info.folds != other.info.folds:
        raise ValueError(OTHER_PATIENTS.format(" and ".join(names)))
