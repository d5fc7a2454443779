"""Refuses settings that cannot work, before data are read or a step is compiled."""

import difflib
import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping

from ml_collections import ConfigDict

from brainseg_jax import losses, models, registry, reports, tasks
from brainseg_jax.data import augment, normalise
from brainseg_jax.data.info import Info
from brainseg_jax.data.sources import Source
from brainseg_jax.inference import mirroring
from brainseg_jax.metrics import overlap, surface_distances
from brainseg_jax.runs import channels
from brainseg_jax.tasks import segmentation
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training import optimisers

DTYPES = ("float32", "bfloat16")
# The limit of each option of augmentation, and whether the option may be equal to it.
LARGEST: dict[str, tuple[float, bool]] = {
    "flip_depth": (1, True),
    "flip_horizontal": (1, True),
    "flip_vertical": (1, True),
    "rotation": (180, True),
    "shift": (1, True),
    "scale": (1, False),
    "shear": (90, False),
    "low_resolution": (1, False),
    "gamma": (math.inf, False),
    "contrast": (1, True),
    "brightness": (math.inf, False),
    "noise": (math.inf, False),
    "channel_dropout": (1, False),
}
PRECISIONS = ("default", "high", "highest")


def check_settings(config: ConfigDict) -> None:
    """Refuses settings that cannot work whatever the data and the model are.

    Raises:
        ValueError: with the key, its value and what it can be.
    """
    evaluation, data = config.evaluation, config.data
    _check_choices(config)
    _check_numbers(config)
    _check_schedule(config.schedule)
    if evaluation.metric == "loss" and evaluation.mode == "max":
        raise ValueError(
            "config.evaluation.metric=loss gets better as it falls; "
            "set config.evaluation.mode=min."
        )
    if not data.train or not data.validation:
        raise ValueError(
            f"config.data.train is {data.train!r} and validation {data.validation!r}; "
            "name folds for both, such as fold_0+fold_1. (test may be empty: no test.)"
        )
    _check_size(tuple(data.size), config.model.name)
    _check_patch(tuple(data.patch), tuple(data.size), config.task.name)
    _check_window(config)
    _check_augmentation(config.augment)
    augment.check_options(config.augment.to_dict(), len(data.size))
    _check_losses("losses", config.losses)
    _check_losses("label_losses", config.label_losses)
    _check_label_losses(config)
    normalisation = normalise.NORMALISATIONS[data.normalisation.name]
    _check_options(
        "data.normalisation", normalisation, {*data.normalisation} - {"name"}
    )
    _check_percentiles(normalisation, data.normalisation)
    mirroring.mirror_axes(evaluation.mirror, len(data.size))


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
    }
    for key, (value, known) in one_of.items():
        if value not in known:
            raise ValueError(
                f"config.{key} is {value!r}; it can be {', '.join(known)}."
            )


def _check_numbers(config: ConfigDict) -> None:
    """Numbers with an end that they may not pass."""
    at_least_one = {
        "batch_size": config.batch_size,
        "accumulate": config.accumulate,
        "epochs": config.epochs,
        "evaluation.batch_size": config.evaluation.batch_size,
        "evaluation.every_epochs": config.evaluation.every_epochs,
        "logging.every_steps": config.logging.every_steps,
        "schedule.step_epochs": config.schedule.step_epochs,
    }
    for key, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"config.{key} is {value}; it has to be 1 or more.")
    not_negative = {
        "seed": config.seed,
        "checkpoint.every_steps": config.checkpoint.every_steps,
        "evaluation.patience": config.evaluation.patience,
        "evaluation.tolerance": config.evaluation.tolerance,
        "optimizer.clip": config.optimizer.clip,
        "optimizer.weight_decay": config.optimizer.weight_decay,
        "schedule.min_delta": config.schedule.min_delta,
        "schedule.minimum": config.schedule.minimum,
        "schedule.warmup_steps": config.schedule.warmup_steps,
    }
    for key, value in not_negative.items():
        if not value >= 0:
            raise ValueError(f"config.{key} is {value}; it has to be 0 or more.")
    shares = {
        "data.tumour_share": config.data.tumour_share,
        "evaluation.threshold": config.evaluation.threshold,
        "ema_decay": config.ema_decay,
        "schedule.final": config.schedule.final,
        "schedule.factor": config.schedule.factor,
        "augment.probability": config.augment.probability,
    }
    for key, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f"config.{key} is {value}; it has to lie between 0 and 1.")
    for key, value in {"b1": config.optimizer.b1, "b2": config.optimizer.b2}.items():
        if not 0 <= value < 1:
            raise ValueError(
                f"config.optimizer.{key} is {value}; it has to be 0 or more and below 1."
            )
    if not config.optimizer.eps > 0:
        raise ValueError(
            f"config.optimizer.eps is {config.optimizer.eps}; it has to be above 0."
        )
    if not 0 < config.optimizer.encoder_rate < math.inf:
        raise ValueError(
            f"config.optimizer.encoder_rate is {config.optimizer.encoder_rate}; it has to "
            "be above 0 (config.model.frozen keeps parts as they are)."
        )


def _check_schedule(schedule: ConfigDict) -> None:
    if not 0 < schedule.rate < math.inf:
        raise ValueError(
            f"config.schedule.rate is {schedule.rate}; it has to be above 0."
        )
    if schedule.name == "plateau" and schedule.minimum > schedule.rate:
        raise ValueError(
            f"config.schedule.minimum is {schedule.minimum}, above config.schedule.rate, "
            f"{schedule.rate}: a drop would raise the rate. Lower it."
        )
    if not 0 < schedule.decay <= 1:
        raise ValueError(
            f"config.schedule.decay is {schedule.decay}; it has to be above 0 and "
            "at most 1 (no decay)."
        )
    if schedule.decay < 1 and schedule.name != "plateau":
        raise ValueError(
            f"config.schedule.decay is {schedule.decay}, which is of "
            f"config.schedule.name=plateau, not of {schedule.name}; leave it at 1."
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


def _check_percentiles(function: Callable, given: ConfigDict) -> None:
    """The ends that a normalisation clips at, where it has any."""
    parameters = inspect.signature(function).parameters
    if "low" not in parameters:
        return
    ends = {name: parameters[name].default for name in ("low", "high")}
    ends |= {name: given[name] for name in ends if name in given}
    if not 0 <= ends["low"] < ends["high"] <= 100:
        raise ValueError(
            f"config.data.normalisation clips at the percentiles {ends['low']} and "
            f"{ends['high']}; low has to be 0 or more and below high, high at most 100."
        )


def _check_augmentation(options: ConfigDict) -> None:
    """Sizes so large that images would be turned inside out, or that mean nothing."""
    for name, (most, reached) in LARGEST.items():
        value = options[name]
        if not (0 <= value < most or (reached and value == most)):
            end = f"at most {most:g}" if reached else f"below {most:g}"
            raise ValueError(
                f"config.augment.{name} is {value}; it has to be 0 or more and {end}."
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


def _check_size(size: tuple[int, ...], model: str) -> None:
    """A net of volumes would otherwise be built for slices, without a word."""
    forms = getattr(registry.find(models, model), "PUBLISHED", {}).values()
    known = sorted({len(form.shape) - 1 for form in forms})
    if known and len(size) not in known:
        axes = " or ".join(str(number) for number in known)
        raise ValueError(
            f"config.data.size has {len(size)} numbers, {size}, but "
            f"config.model.name={model} takes images of {axes} dimensions. (On the "
            "command line, a key given twice has both values.)"
        )
    if len(size) not in mirroring.MIRRORS:
        raise ValueError(
            f"config.data.size is {size}; it has 2 numbers for slices, 3 for volumes."
        )
    if any(number < 1 for number in size):
        raise ValueError(f"config.data.size is {size}; each has to be 1 or more.")


def _check_patch(patch: tuple[int, ...], size: tuple[int, ...], task: str) -> None:
    if patch and "labels" in registry.find(tasks, task).NAMED_BY:
        raise ValueError(
            f"config.data.patch is {patch}, but config.task.name={task} is about "
            "whole images: a part of one need not show what its label says. Set it to ()."
        )
    if patch and (len(patch) != len(size) or min(patch) < 1):
        raise ValueError(
            f"config.data.patch is {patch}; it has {len(size)} numbers of 1 or more, like "
            "config.data.size, or none."
        )


def _check_window(config: ConfigDict) -> None:
    options, size = config.evaluation, tuple(config.data.size)
    window = tuple(options.window)
    if window and config.task.name != "segmentation":
        raise ValueError(
            f"config.evaluation.window is {window}, but config.task.name="
            f"{config.task.name} is about whole images. Set it to ()."
        )
    if window and (len(window) != len(size) or min(window) < 1):
        raise ValueError(
            f"config.evaluation.window is {window}; it has {len(size)} numbers of 1 or "
            "more, like config.data.size, or none."
        )
    if not 0 <= options.overlap < 1:
        raise ValueError(
            f"config.evaluation.overlap is {options.overlap}; it has to be 0 or more and "
            "below 1."
        )
    if options.window_batch < 1:
        raise ValueError(
            f"config.evaluation.window_batch is {options.window_batch}; it has to be 1 "
            "or more."
        )


def check_metric(config: ConfigDict, task: Task, info: Info) -> None:
    """Refuses a score of config.evaluation.metric that the data set's classes do not have.

    Raises:
        ValueError: with all that there are.
    """
    known = ("loss", *registry.find(reports, task.name).score_names(task, info))
    if (metric := config.evaluation.metric) not in known:
        raise ValueError(
            f"config.evaluation.metric is {metric!r}; it can be {', '.join(known)}."
        )


def check_splits(config: ConfigDict, info: Info) -> None:
    """Refuses splits that share patients, but for leaky splits among themselves.

    Leaky splits share patients on purpose, and their names say so. They hold slices of
    nearly all patients, so a fold beside one would share patients with it.

    Raises:
        ValueError: naming the splits.
    """
    options = config.data
    splits = [s for s in (options.train, options.validation, options.test) if s]
    leaky = [split for split in splits if split in info.leaky]
    if leaky and len(leaky) < len(splits):
        other = next(split for split in splits if split not in info.leaky)
        raise ValueError(
            f"{leaky[0]} holds slices of nearly all patients, so {other} would be scored "
            "on patients that were trained on. Use leaky splits for all of "
            "config.data.train, validation and test, or folds for all."
        )
    folds = [fold for split in splits for fold in split.split("+")]
    if len(set(folds)) < len(folds) and not leaky:
        raise ValueError(
            f"config.data.train={options.train}, validation={options.validation} and "
            f"test={options.test} share patients; name different folds."
        )


def check_patients(config: ConfigDict, sources: Mapping[str, Source]) -> None:
    """Refuses data whose splits share patients though their names do not say so.

    `sources` are by their keys in config.data: train, validation, and test where one is.

    Raises:
        ValueError: naming both splits and the patients.
    """
    if config.data.train in sources["train"].info.leaky:
        return
    for (one, first), (other, second) in itertools.combinations(sources.items(), 2):
        if shared := sorted(set(first.patients) & set(second.patients)):
            raise ValueError(
                f"config.data.{one}={config.data[one]} and {other}={config.data[other]} "
                f"share {len(shared)} patients ({', '.join(shared[:3])}); prepare "
                f"{config.data.name} again."
            )
