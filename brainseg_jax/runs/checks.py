"""Refuses settings that cannot work, before data are read or a step is compiled."""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable

from ml_collections import ConfigDict

from brainseg_jax import losses, registry, tasks
from brainseg_jax.data import augment, normalise
from brainseg_jax.inference import mirroring
from brainseg_jax.metrics import overlap, pixel_tallies, surface_distances
from brainseg_jax.runs import channels, range_checks, shape_checks
from brainseg_jax.tasks import segmentation
from brainseg_jax.training import optimisers

DTYPES = ("float32", "bfloat16")
PRECISIONS = ("default", "high", "highest")


def check_settings(config: ConfigDict) -> None:
    """Refuses settings that cannot work whatever the data and the model are.

    Raises:
        ValueError: with the key, its value and what it can be.
    """
    evaluation, data = config.evaluation, config.data
    _check_choices(config)
    range_checks.check_numbers(config)
    range_checks.check_schedule(config.schedule)
    range_checks.check_cycles(config)
    if evaluation.metric == "loss" and evaluation.mode == "max":
        raise ValueError(
            "config.evaluation.metric=loss gets better as it falls; "
            "set config.evaluation.mode=min."
        )
    if not data.train:
        raise ValueError(
            "config.data.train is empty; name folds, such as fold_0+fold_1. (validation "
            "may be empty: the last epoch is kept. And test: no test.)"
        )
    if not data.validation:
        _check_unwatched(config)
    shape_checks.check_size(tuple(data.size), config.model.name)
    shape_checks.check_patch(tuple(data.patch), tuple(data.size), config.task.name)
    shape_checks.check_neighbours(config)
    shape_checks.check_window(config)
    range_checks.check_augmentation(config.augment)
    augment.check_options(config.augment.to_dict(), len(data.size))
    _check_losses("losses", config.losses)
    _check_losses("label_losses", config.label_losses)
    _check_label_losses(config)
    normalisation = normalise.NORMALISATIONS[data.normalisation.name]
    _check_options(
        "data.normalisation", normalisation, {*data.normalisation} - {"name"}
    )
    range_checks.check_percentiles(normalisation, data.normalisation)
    mirroring.mirror_axes(evaluation.mirror, len(data.size))


def _check_unwatched(config: ConfigDict) -> None:
    """Without a validation split nothing may wait for its scores."""
    waiting = {
        f"evaluation.patience={config.evaluation.patience}": config.evaluation.patience,
        "schedule.name=plateau": config.schedule.name == "plateau",
    }
    if said := [name for name, waits in waiting.items() if waits]:
        raise ValueError(
            f"config.data.validation is empty, and config.{said[0]} waits for its scores; "
            "name a fold for it, or let training end with its last epoch."
        )


def _check_choices(config: ConfigDict) -> None:
    """Words that are one of a few."""
    if config.task.name not in registry.names(tasks):
        raise ValueError(
            f"config.task.name is {config.task.name!r}; it can be "
            f"{', '.join(registry.names(tasks))}."
        )
    evaluation, normalisation = config.evaluation, config.data.normalisation
    one_of = {
        "task.targets": (config.task.targets, segmentation.TARGETS),
        "data.cache": (config.data.cache, ("device", "host", "none")),
        "compute_dtype": (config.compute_dtype, DTYPES),
        "init_channels": (config.init_channels, channels.WAYS),
        "matmul_precision": (config.matmul_precision, PRECISIONS),
        "data.normalisation.name": (normalisation.name, normalise.NORMALISATIONS),
        "augment.fill": (config.augment.fill, tuple(augment.FILLS)),
        "optimizer.name": (config.optimizer.name, optimisers.OPTIMIZERS),
        "schedule.name": (config.schedule.name, optimisers.SCHEDULES),
        "evaluation.mode": (evaluation.mode, ("max", "min")),
        "evaluation.empty": (evaluation.empty, tuple(overlap.EMPTY)),
        "evaluation.surface_distances": (
            evaluation.surface_distances,
            (*surface_distances.CONVENTIONS, "none"),
        ),
        "evaluation.pixel_calibration": (
            evaluation.pixel_calibration,
            pixel_tallies.POLICIES,
        ),
    }
    for key, (value, known) in one_of.items():
        if value not in known:
            raise ValueError(
                f"config.{key} is {value!r}; it can be {', '.join(known)}."
            )


def _check_losses(key: str, terms: ConfigDict) -> None:
    for name, term in terms.items():
        function = registry.find(losses, name).loss
        if "weight" not in term:
            raise ValueError(f"config.{key}.{name} has no weight; give it weight=1.0.")
        if not 0 <= term.weight < math.inf:
            raise ValueError(
                f"config.{key}.{name}.weight is {term.weight}; it has to be 0 or more."
            )
        _check_options(f"{key}.{name}", function, {*term} - {"weight"})


def _check_label_losses(config: ConfigDict) -> None:
    """There are some where a net has a head of labels beside one of masks, else none."""
    name, given = config.task.name, ", ".join(config.label_losses)
    two_heads = len(registry.find(tasks, name).NAMED_BY) > 1
    if two_heads and not given:
        raise ValueError(
            f"config.label_losses is empty, but config.task.name={name} trains a head of "
            "labels too; set config.label_losses = {'cross_entropy': {'weight': 1.0}}."
        )
    if given and not two_heads:
        raise ValueError(
            f"config.label_losses has {given}, but config.task.name={name} has one head, "
            "whose losses are config.losses; leave config.label_losses empty."
        )


def _check_options(key: str, function: Callable, given: Iterable[str]) -> None:
    """What a function takes by keyword alone are the options of its key in a config."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.kind == keyword]
    known = [name for name in known if name != "exclusive"]  # is the task's
    for name in sorted(given):
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            advice = f" Did you mean {nearest[0]!r}?" if nearest else ""
            raise ValueError(
                f"config.{key}.{name} is no option of {function.__name__}; there are: "
                f"{', '.join(known) or 'none'}.{advice}"
            )
