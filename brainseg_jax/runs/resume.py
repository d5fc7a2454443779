"""What a run may change when it goes on."""

import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from brainseg_jax.data import leakage
from brainseg_jax.runs.build import Run
from brainseg_jax.runs.records import About, Record

# Keys that a run may change when it goes on: what the user sees, and where data lie.
CHANGEABLE = (
    "epochs",
    "logging.",
    "data.cache",
    "data.data_dir",
    "data.folder.",  # as raw_dir: data that are prepared say themselves what they are
    "data.raw_dir",
    "evaluation.patience",
)


def check_config(
    config: Mapping[str, Any],
    record: Record,
    workdir: pathlib.Path,
    *,
    goes_on: bool = True,
) -> None:
    """Refuses a config of another run; and if it `goes_on`, to go on as another.

    Raises:
        ValueError: if the config differs from the checkpoint's in keys that change the
            run, or if a version of the code began it that trained in another way.
    """
    changed = [
        f"  config.{key}: {old} in the checkpoint, {new} now"
        for key, (old, new) in differences(record.about.config, config).items()
    ]
    if changed:
        raise ValueError(
            f"{workdir} holds a run of another config:\n"
            + "\n".join(changed)
            + "\nGive the old values to go on, or another --workdir to start anew. "
            f"Free to change: {', '.join(name.rstrip('.') for name in CHANGEABLE)}."
        )
    if goes_on and not record.current:
        raise ValueError(
            f"{workdir} began with an earlier version, which trained on the label that "
            "covers most of a pixel and evaluated averaged weights with other batch "
            "statistics; it cannot go on bit for bit. Evaluate or predict with it as it "
            f"is, or start anew from its weights: --config.init_from={workdir} and "
            "another --workdir."
        )


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """What makes two configs of different runs: keys with both values."""
    ours, theirs = dict(_flat(old)), dict(_flat(new))
    return {
        key: (ours.get(key, "absent"), theirs.get(key, "absent"))
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key) and not key.startswith(CHANGEABLE)
    }


def check_same_data(data: Mapping[str, Any], about: About) -> None:
    """Refuses to go on with other patients, folds or slices under the same name.

    Of versions the first number counts: with it, and only with it, examples change.

    Raises:
        ValueError: naming what differs.
    """
    new, saved = ({**of, "version": _major(of)} for of in (data, about.data))
    changed = [key for key in new if new[key] != saved.get(key)]
    if changed:
        raise ValueError(
            f"The data set is not the one this run began with: {', '.join(changed)} "
            "differ. Give the --config.data.data_dir it began with, or another --workdir."
        )


def _major(data: Mapping[str, Any]) -> str:
    return data["version"].partition(".")[0]


def check_earlier_patients(run: Run, origin: Record) -> None:
    """Refuses weights of another run that have seen patients who are to be scored.

    Warns of those by whom the other run chose its epoch: their scores are too good, too.

    Raises:
        ValueError: naming some of those patients.
    """
    scored = run.tested
    if run.validation is not None:
        scored |= {*run.validation.patients}
    leaky = run.config.data.train in run.training.info.leaky
    if (known := leakage.known(scored, origin.about.trained_patients)) and not leaky:
        raise ValueError(
            f"config.init_from={run.config.init_from} was trained on {len(known)} "
            f"patients of the validation or test split ({', '.join(known[:3])}...); "
            "name folds that it has not seen."
        )
    if chosen := leakage.known(run.tested, origin.choice.patients):
        logging.warning(
            "config.init_from=%s chose its epoch by %d patients of the test split "
            "(%s...); its report will say so.",
            run.config.init_from,
            len(chosen),
            ", ".join(chosen[:3]),
        )


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """("schedule.rate", 0.001) and so on; tuples as JSON has them."""
    flat: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat.extend(_flat(value, f"{prefix}{key}."))
        else:
            listed = list(value) if isinstance(value, tuple) else value
            flat.append((prefix + key, listed))
    return flat
