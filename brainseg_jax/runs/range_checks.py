"""Refuses numbers of a config that pass an end that they may not pass."""

import inspect
import math
from collections.abc import Callable

from ml_collections import ConfigDict

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


def check_numbers(config: ConfigDict) -> None:
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
        "data.neighbours": config.data.neighbours,
        "checkpoint.every_steps": config.checkpoint.every_steps,
        "evaluation.patience": config.evaluation.patience,
        "evaluation.tolerance": config.evaluation.tolerance,
        "optimizer.clip": config.optimizer.clip,
        "optimizer.weight_decay": config.optimizer.weight_decay,
        "schedule.cycle_epochs": config.schedule.cycle_epochs,
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


def check_schedule(schedule: ConfigDict) -> None:
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


def check_cycles(config: ConfigDict) -> None:
    """Cycles of a cosine: whole ones fill the epochs, and each is scored at its end."""
    cycle, schedule = config.schedule.cycle_epochs, config.schedule.name
    if not cycle:
        return
    if schedule != "cosine":
        raise ValueError(
            f"config.schedule.cycle_epochs is {cycle}, which is of "
            f"config.schedule.name=cosine, not of {schedule}; leave it at 0."
        )
    if config.epochs % cycle:
        raise ValueError(
            f"config.epochs={config.epochs} are not a whole number of cycles of "
            f"config.schedule.cycle_epochs={cycle}; make them a multiple of it."
        )
    if cycle % (every := config.evaluation.every_epochs):
        raise ValueError(
            f"config.schedule.cycle_epochs={cycle} is no multiple of "
            f"config.evaluation.every_epochs={every}: the end of a cycle would not be "
            "scored. Change one of them."
        )


def check_percentiles(function: Callable, given: ConfigDict) -> None:
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


def check_augmentation(options: ConfigDict) -> None:
    """Sizes so large that images would be turned inside out, or that mean nothing."""
    for name, (most, reached) in LARGEST.items():
        value = options[name]
        if not (0 <= value < most or (reached and value == most)):
            end = f"at most {most:g}" if reached else f"below {most:g}"
            raise ValueError(
                f"config.augment.{name} is {value}; it has to be 0 or more and {end}."
            )
