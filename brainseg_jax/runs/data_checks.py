"""Refuses what the data set of a config cannot give: its scores, splits and patients."""

import itertools
from collections.abc import Mapping

from ml_collections import ConfigDict

from brainseg_jax import registry, reports
from brainseg_jax.data.info import Info
from brainseg_jax.data.sources import Source
from brainseg_jax.tasks.parts.task import Task


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
