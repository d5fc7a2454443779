"""What a run may change when it goes on."""

import pathlib
from collections.abc import Mapping
from typing import Any

# Keys that are younger than some runs, each with what it was as good as before it came.
SINCE = {"schedule.decay": 1.0, "init_channels": "match"}
# Beside what the user sees: where the data lie, since disks get moved.
CHANGEABLE = (
    "epochs",
    "logging.",
    "data.cache",
    "data.data_dir",
    "data.raw_dir",
    "evaluation.patience",
)


def check(
    config: Mapping[str, Any], saved: Mapping[str, Any], workdir: pathlib.Path
) -> None:
    """Refuses a config that differs from the checkpoint's where that changes the run."""
    new, old = dict(_flat(config)), {**SINCE, **dict(_flat(saved))}
    changed = [
        f"  config.{key}: {old.get(key, 'absent')} in the checkpoint, "
        f"{new.get(key, 'absent')} now"
        for key in sorted(new.keys() | old.keys())
        if new.get(key) != old.get(key) and not key.startswith(CHANGEABLE)
    ]
    if changed:
        raise ValueError(
            f"{workdir} holds a run of another config:\n"
            + "\n".join(changed)
            + "\nGive the old values to go on, or another --workdir to start anew. "
            f"Free to change: {', '.join(name.rstrip('.') for name in CHANGEABLE)}."
        )


def check_data(data: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Refuses to go on with other patients, folds or slices under the same name."""
    saved = record["data"]
    changed = [key for key in data if data[key] != saved.get(key)]
    if changed:
        raise ValueError(
            f"The data set is not the one this run began with: {', '.join(changed)} "
            "differ. Give the --config.data.data_dir it began with, or another --workdir."
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
