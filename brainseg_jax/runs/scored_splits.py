"""Opens what a run is scored on: splits as the model sees them, and what it predicts."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

from brainseg_jax.data import info as data_info
from brainseg_jax.data import sources
from brainseg_jax.runs import (
    ensembles,
    experiment,
    members,
    out_of_fold,
    restore,
    scorable,
)
from brainseg_jax.runs.out_of_fold import Fold
from brainseg_jax.runs.predictor import make_labeller
from brainseg_jax.runs.records import About
from brainseg_jax.runs.restore import Restored

KEPT = 8  # predicted examples, of which pictures are drawn


def default_split(about: About) -> str:
    """The test split of a run; where there is none, the one that it was validated on.

    Raises:
        ValueError: if it has neither.
    """
    data = about.config["data"]
    if split := data["test"] or data["validation"]:
        return split
    raise ValueError(
        f"The run trained on all of {data['train']} and has neither a test nor a "
        "validation split; name another data set (--data_name) and its --split."
    )


def is_by_fold(
    workdir: str | pathlib.Path, split: str = "", data_name: str = ""
) -> bool:
    """Whether each patient is asked of the model of a cross-validation that is unseen.

    So it is on the data that its models were trained on, unless a split is named.
    """
    own = not data_name and split in ("", out_of_fold.SPLIT)
    return own and members.are_folds(workdir)


def open_source(
    restored: Restored, split: str, *, data_name: str = "", data_dir: str = ""
) -> sources.Source:
    """A split as it is scored, of the run's own data set unless another is named.

    Raises:
        FileNotFoundError: if the data set is not prepared.
        ValueError: if it has other channels, or the split cannot be scored so.
    """
    about, task = restored.record.about, restored.parts.task
    options = about.settings.data
    name, data_dir = data_name or options.name, data_dir or options.data_dir
    source = sources.open_split(
        name,
        split,
        data_dir,
        channels=scorable.channels(data_info.read_info(name, data_dir), about.info),
        size=experiment.scored_size(about.settings),
        reach=options.neighbours,
        normalisation=options.normalisation.to_dict(),
        foreground=about.settings.task.foreground,
        stored_masks=True,
        with_masks=task.uses_masks,
        only_tumour=options.only_tumour,
    )
    scorable.check_kind(source.info, about.info, ("channels",))
    return source


def open_folds(
    workdir: str | pathlib.Path, *, data_dir: str = ""
) -> tuple[list[Fold], sources.Source]:
    """The models of a cross-validation with their test folds, and these as one split."""
    folds = []
    for folder in members.folders(workdir):
        restored = restore.restore(folder)
        split = restored.record.about.config["data"]["test"]
        source = open_source(restored, split, data_dir=data_dir)
        folds.append(Fold(split, restored, source))
    every = "+".join(fold.split for fold in folds)
    return folds, open_source(folds[0].restored, every, data_dir=data_dir)


def open_answers(
    workdir: str, split: str, *, data_name: str = "", data_dir: str = ""
) -> tuple[sources.Source, Callable[[int], Any]]:
    """A split as it is scored, and the labels that are predicted of its examples."""
    if split == out_of_fold.SPLIT:
        folds, whole = open_folds(workdir, data_dir=data_dir)
        return whole, out_of_fold.make_labeller(folds, whole)
    restored = ensembles.restore_all(workdir)
    source = open_source(restored, split, data_name=data_name, data_dir=data_dir)
    return source, predict_labels(restored, source)


def predict_labels(restored: Restored, source: sources.Source) -> Callable[[int], Any]:
    """Predicted labels [*space, 1] of one example of a split; of two heads of each.

    The last few are kept: several pictures show the same example.
    """
    label = make_labeller(restored)

    @functools.lru_cache(maxsize=KEPT)
    def labels(index: int) -> Any:
        return label(source.seen(index)[0], source.scaling[index])

    return labels
