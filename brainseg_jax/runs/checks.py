"""Refuses settings that cannot work, before data are read or a step is compiled."""

import math

from ml_collections import ConfigDict

from brainseg_jax import losses, metrics, models, parallel, registry, tasks
from brainseg_jax.data import augment, normalise
from brainseg_jax.inference import mirroring
from brainseg_jax.metrics import overlap
from brainseg_jax.training import optimisers

DTYPES = ("float32", "bfloat16")


def check(config: ConfigDict) -> None:
    """Raises ValueError with the key, its value and what it can be."""
    evaluation, data = config.evaluation, config.data
    if config.task.name not in registry.names(tasks):
        raise ValueError(
            f"config.task.name is {config.task.name!r}; it can be "
            f"{', '.join(registry.names(tasks))}."
        )
    scores = registry.find(metrics, config.task.name).score_names()
    one_of = {
        "data.cache": (data.cache, ("device", "host", "none")),
        "compute_dtype": (config.compute_dtype, DTYPES),
        "data.normalisation.name": (data.normalisation.name, normalise.NORMALISATIONS),
        "augment.fill": (config.augment.fill, tuple(augment.FILLS)),
        "optimizer.name": (config.optimizer.name, optimisers.OPTIMIZERS),
        "parallel.mode": (config.parallel.mode, parallel.MODES),
        "schedule.name": (config.schedule.name, optimisers.SCHEDULES),
        "evaluation.mode": (evaluation.mode, ("max", "min")),
        "evaluation.empty": (evaluation.empty, tuple(overlap.EMPTY)),
        "evaluation.metric": (evaluation.metric, ("loss", *scores)),
    }
    for key, (value, known) in one_of.items():
        if value not in known:
            raise ValueError(
                f"config.{key} is {value!r}; it can be {', '.join(known)}."
            )
    at_least_one = {
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "evaluation.batch_size": evaluation.batch_size,
        "evaluation.every_epochs": evaluation.every_epochs,
        "logging.every_steps": config.logging.every_steps,
        "schedule.step_epochs": config.schedule.step_epochs,
    }
    for key, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"config.{key} is {value}; it has to be 1 or more.")
    shares = {
        "data.tumour_share": data.tumour_share,
        "evaluation.threshold": evaluation.threshold,
        "ema_decay": config.ema_decay,
        "augment.probability": config.augment.probability,
    }
    for key, value in shares.items():
        if not 0 <= value <= 1:
            raise ValueError(f"config.{key} is {value}; it has to lie between 0 and 1.")
    if not 0 < config.optimizer.encoder_rate < math.inf:
        raise ValueError(
            f"config.optimizer.encoder_rate is {config.optimizer.encoder_rate}; it has to "
            "be above 0 (config.model.frozen keeps parts as they are)."
        )
    if not config.schedule.rate > 0 or not math.isfinite(config.schedule.rate):
        raise ValueError(
            f"config.schedule.rate is {config.schedule.rate}; it has to be above 0."
        )
    if not 0 < config.schedule.decay <= 1:
        raise ValueError(
            f"config.schedule.decay is {config.schedule.decay}; it has to be above 0 and "
            "at most 1 (no decay)."
        )
    if config.schedule.decay < 1 and config.schedule.name != "plateau":
        raise ValueError(
            f"config.schedule.decay is {config.schedule.decay}, which is of "
            f"config.schedule.name=plateau, not of {config.schedule.name}; leave it at 1."
        )
    if evaluation.metric == "loss" and evaluation.mode == "max":
        raise ValueError(
            "config.evaluation.metric=loss gets better as it falls; "
            "set config.evaluation.mode=min."
        )
    _check_size(tuple(data.size), config.model.name)
    _check_patch(tuple(data.patch), tuple(data.size))
    augment.check(config.augment.to_dict(), len(data.size))
    for name, term in config.losses.items():
        registry.find(losses, name)
        if "weight" not in term:
            raise ValueError(f"config.losses.{name} has no weight; give it weight=1.0.")
    mirroring.mirror_axes(evaluation.mirror, len(data.size))


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


def _check_patch(patch: tuple[int, ...], size: tuple[int, ...]) -> None:
    if patch and (len(patch) != len(size) or min(patch) < 1):
        raise ValueError(
            f"config.data.patch is {patch}; it has {len(size)} numbers of 1 or more, like "
            "config.data.size, or none."
        )
