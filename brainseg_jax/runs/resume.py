"""What a run may change when it goes on, and starting from another run's weights."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
from absl import logging
from flax import linen as nn

from brainseg_jax.runs import encoder_weights, experiment
from brainseg_jax.training.state import TrainState, copy_average

# Keys that are younger than some runs, each with what it was as good as before it came.
SINCE = {"schedule.decay": 1.0, "data.patch": [], "augment.flip_depth": 0.0}
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
    """Refuses to go on with other patients, folds or slices under the same name.

    Of versions the first number counts: with it, and only with it, examples change.
    """
    new, saved = ({**of, "version": _major(of)} for of in (data, record["data"]))
    changed = [key for key in new if new[key] != saved.get(key)]
    if changed:
        raise ValueError(
            f"The data set is not the one this run began with: {', '.join(changed)} "
            "differ. Give the --config.data.data_dir it began with, or another --workdir."
        )


def _major(data: Mapping[str, Any]) -> str:
    return data["version"].partition(".")[0]


# Options that may differ between two runs of which one takes the other's weights: they
# show in the weights' shapes, matter to training alone, or are of a head, which may be new.
# Weights mean nothing without any of the others, though these have none themselves.
FREE = (
    *("outputs", "widths", "hidden", "pool", "deep_supervision", "stages", "repeats"),
    *("kernel_init", "head_init", "dropout", "joined_dropout", "dropout_before"),
    *("convolution_dropout", "drop_connect", "momentum", "pooled_momentum"),
    *("decoder_repeats", "remat", "dtype", "axis_name", "parent", "name"),
)


def transfer(
    fresh: TrainState, model: nn.Module, workdir: str | pathlib.Path
) -> tuple[TrainState, list[str]]:
    """`fresh`, of `model`, with another run's weights, and the patients those have seen.

    A head of another size stays fresh; a classifier may take the encoder of another net.
    """
    restored = experiment.restore(workdir)
    _check_meaning(model, restored.model, workdir)
    same = type(model) is type(restored.model)
    taken: dict[str, Any] = {}
    for name in ("params", "batch_stats"):
        own, other = getattr(fresh, name), restored.variables.get(name, {})
        taken[name] = _merge(own, other, workdir, complete=same)
    average = copy_average(**taken) if fresh.average else {}
    state = fresh.replace(**taken, average=average)
    return state, restored.record["trained_patients"]


def check_origin(model: nn.Module, workdir: str | pathlib.Path) -> None:
    """Refuses a run whose weights would mean something else in `model`."""
    _check_meaning(model, experiment.restore(workdir).model, workdir)


def _check_meaning(
    model: nn.Module, other: nn.Module, workdir: str | pathlib.Path
) -> None:
    if (own := encoder_weights.encoder_name(model)) != (
        found := encoder_weights.encoder_name(other)
    ):
        raise ValueError(
            f"config.init_from={workdir} holds another architecture: its encoder is "
            f"{found}, this config's {own}. Use the same config.model."
        )
    fields = ({field.name for field in dataclasses.fields(of)} for of in (model, other))
    for name in sorted(set.intersection(*fields) - {*FREE}):
        ours, theirs = getattr(model, name), getattr(other, name)
        if ours != theirs:
            raise ValueError(
                f"config.init_from={workdir} was trained with {name}={theirs!r}, but this "
                f"config has {ours!r}; set config.model.options.{name} in the config to "
                f"{theirs!r}."
            )


def _merge(own: Any, other: Any, workdir: str | pathlib.Path, *, complete: bool) -> Any:
    """Our leaves, replaced by the other's of the same name and shape.

    With `complete` all of the other's have to be used, but for one head.
    """
    found = {jax.tree_util.keystr(k): v for k, v in _leaves(other)}
    merged, kept = [], []
    for path, leaf in _leaves(own):
        name = jax.tree_util.keystr(path)
        match = found.get(name)
        if match is None or match.shape != leaf.shape:
            kept.append((str(path[0].key), name))
        merged.append(leaf if match is None or match.shape != leaf.shape else match)
    heads = {module for module, _ in kept}
    names = {jax.tree_util.keystr(path) for path, _ in _leaves(own)}
    unused = [
        jax.tree_util.keystr(path)
        for path, _ in _leaves(other)
        if jax.tree_util.keystr(path) not in names and str(path[0].key) not in heads
    ]
    if len(heads) > 1 or (complete and unused):
        differ = [name for _, name in kept] + unused
        raise ValueError(
            f"config.init_from={workdir} holds another architecture: "
            f"{len(differ)} weights differ, first {differ[0]}. Use the same config.model."
        )
    if heads:
        logging.info("init_from %s: new head %s", workdir, heads.pop())
    return jax.tree.unflatten(jax.tree.structure(own), merged)


def _leaves(tree: Any) -> list:
    return jax.tree_util.tree_leaves_with_path(tree)


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
