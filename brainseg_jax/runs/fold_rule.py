"""Which folds train, choose the epoch and test when each fold is tested once.

Fold k tests, the next one chooses the epoch (after the last comes the first), and all
others train. So each patient is tested by one model, chooses the epoch of one other, and is
trained on by the rest. Where no fold is to choose, all but the tested one train, and each
model is that of its last epoch.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ml_collections import ConfigDict

from brainseg_jax.data.info import Info

FEWEST = 3  # one to train, one to choose the epoch, one to test
LEAKY = "leaky"  # what the names of slice-level splits begin with, in every data set


class Splits(NamedTuple):
    """As the keys of config.data have them."""

    train: str
    validation: str
    test: str


def rule(folds: Sequence[str], *, choose: bool = True) -> list[Splits]:
    """Of each fold in turn, when it is the one that tests; `choose`: another validates."""
    every = []
    for k, test in enumerate(folds):
        validation = folds[(k + 1) % len(folds)] if choose else ""
        others = [fold for fold in folds if fold not in (test, validation)]
        every.append(Splits("+".join(others), validation, test))
    return every


def refuse_leaky(train: str) -> None:
    """What can be told before the data are there.

    Raises:
        ValueError: if `train` is a split of slices.
    """
    if train.startswith(LEAKY):
        raise ValueError(
            f"config.data.train={train} holds slices of nearly all patients; "
            "--mode=crossval is over folds of whole patients. Choose a variant of the "
            "experiment that trains on folds."
        )


def folds_of(info: Info, train: str) -> list[str]:
    """The folds of a prepared data set: official ones where `train` names some of these.

    Raises:
        ValueError: if `train` is a leaky split, or there are too few folds.
    """
    refuse_leaky(train)
    if train.split("+")[0] in info.official:
        folds = sorted(info.official)
    else:
        folds = [f"fold_{number}" for number in sorted({*info.folds.values()})]
    if len(folds) < FEWEST:
        raise ValueError(
            f"{info.name} has {len(folds)} folds of patients, and a cross-validation "
            f"needs {FEWEST}: one to train, one to choose the epoch, one to test. "
            "Prepare more patients."
        )
    return folds


def chosen(config: ConfigDict, info: Info, count: int) -> list[Splits]:
    """The splits of the first `count` folds, 0 for all.

    Raises:
        ValueError: if there are not as many, or they cannot be.
    """
    choose = bool(config.data.validation)
    every = rule(folds_of(info, config.data.train), choose=choose)
    if not 0 <= count <= len(every):
        raise ValueError(
            f"--folds={count}, but {info.name} has {len(every)} folds; give a number from "
            f"1 to {len(every)}, or leave it out for all."
        )
    return every[: count or None]


def with_splits(config: ConfigDict, splits: Splits) -> ConfigDict:
    """A copy of an experiment that trains, chooses and tests so."""
    own = config.copy_and_resolve_references()
    own.data.update(splits._asdict())
    return own
