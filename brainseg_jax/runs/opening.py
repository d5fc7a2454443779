"""Opens the splits that a config names, at sizes that go together."""

import functools
import itertools

from ml_collections import ConfigDict

from brainseg_jax.data import sources
from brainseg_jax.runs import experiment
from brainseg_jax.tasks.parts.task import Task


def open_splits(config: ConfigDict, task: Task) -> dict[str, sources.Source]:
    """By their keys in config.data, those that it names.

    The test split is opened for its errors alone.
    """
    load = functools.partial(
        sources.open_split,
        config.data.name,
        data_dir=config.data.data_dir,
        size=tuple(config.data.size),
        normalisation=config.data.normalisation.to_dict(),
        foreground=config.task.foreground,
        targets=config.task.targets,
        channels=tuple(config.data.channels),
        reach=config.data.neighbours,
        with_masks=task.uses_masks,
        only_tumour=config.data.only_tumour,
    )
    cutting = {
        "size": tuple(config.data.patch),
        "foreground_share": config.data.tumour_share,
        "fill": config.augment.fill,
    }
    opened = {
        "train": load(
            config.data.train, cutting=cutting if config.data.patch else None
        ),
    }
    if config.data.validation:
        opened["validation"] = load(
            config.data.validation,
            size=experiment.scored_size(config),
            stored_masks=True,
        )
    if config.data.test:
        opened["test"] = load(config.data.test)
    _check_scale(config, opened)
    return opened


def _check_scale(config: ConfigDict, opened: dict[str, sources.Source]) -> None:
    """A net is scored at the scale that it was trained at."""
    size, scored = tuple(config.data.size), (opened[n] for n in opened if n != "train")
    if config.evaluation.window and not config.data.patch:
        _refuse_windows({*opened["train"].shapes}, size)
    if config.data.patch and not config.evaluation.window:
        _refuse_resizing({*itertools.chain(*(one.shapes for one in scored))}, size)


def _refuse_windows(stored: set[tuple[int, ...]], size: tuple[int, ...]) -> None:
    """Windows show examples as they are stored, and so has training to."""
    if stored != {size}:
        raise ValueError(
            "config.evaluation.window scores examples as they are stored, but "
            f"config.data.size={size} resizes those that are trained on, stored as "
            f"{', '.join(map(str, sorted(stored)[:3]))}. Set config.data.patch to train "
            "on parts of them, or config.evaluation.window to ()."
        )


def _refuse_resizing(stored: set[tuple[int, ...]], size: tuple[int, ...]) -> None:
    """Parts are cut as stored: a net trained on them would be scored at another scale."""
    if stored == {size}:
        return
    first, *more = sorted(stored)
    remedy = f"Set config.data.size to {first}, or config.data.patch to ()"
    if more:
        remedy = (
            "Examples of several sizes cannot be scored so; set config.data.patch to ()"
        )
    raise ValueError(
        f"config.data.patch trains at the stored scale, but config.data.size={size} would "
        f"resize what is scored, stored as {', '.join(map(str, sorted(stored)[:3]))}. "
        f"{remedy} to train on whole examples."
    )
