"""Starting from another run's weights: what they mean here, and which of them fit.

Weights are taken by name and shape, those that read the image by the names of its channels.
A head of other classes starts fresh; whatever else is different is refused. What that is,
is found from shapes and from what the net computes: no list of options has to be kept.
"""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from brainseg_jax import parallel
from brainseg_jax.data import normalise
from brainseg_jax.runs import channels, encoder_weights, experiment, restore
from brainseg_jax.runs.channels import Leaves, Path
from brainseg_jax.runs.experiment import Parts
from brainseg_jax.runs.records import About, Record
from brainseg_jax.runs.restore import Restored
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training.state import TrainState, copy_average

# Fields of a model that this run sets, whatever the other one had.
OURS = frozenset(("outputs", "dtype", "axis_name", "remat", "parent", "name"))
# The largest difference of logits, in their deviations, that is no more than rounding, and
# the largest with which channels in another order are still taken.
ROUNDING, LARGEST = 1e-3, 0.1


def transfer(
    fresh: TrainState,
    parts: Parts,
    names: Sequence[str],
    config: ConfigDict,
) -> tuple[TrainState, Record]:
    """`fresh` with the weights of config.init_from, and what is known of that run.

    `fresh` is of the model in `parts`, and `names` are those of the image's channels.
    `check_origin` has passed: the same weights compute the same thing.

    Raises:
        ValueError: where weights or channels do not fit.
    """
    model, other = parts.model, restore.restore(config.init_from)
    about = other.record.about
    ours, theirs = tuple(names), _channels_of(about)
    chosen = _sources(ours, theirs, config)
    shape = parts.shape
    own = flatten_dict({"params": fresh.params, "batch_stats": fresh.batch_stats})
    found = flatten_dict(other.variables)
    if told := channels.tell_sources(ours, theirs, chosen):
        fitted = channels.fit_all(
            own, found, channels.readers(model, shape), len(theirs), chosen
        )
        found |= fitted
        where = ", ".join("/".join(path) for path in fitted)
        logging.info("init_from %s: channels %s; in %s", config.init_from, told, where)
    heads = head_modules(model, shape)
    heads |= head_modules(other.parts.model, other.parts.shape)
    alike = type(model) is type(other.parts.model)
    new = unfilled(own, found, heads, config.init_from, complete=alike)
    merged = {path: own[path] if path in new else found[path] for path in own}
    _tell_classes(
        {path[1] for path in new}, parts.task, other.parts.task, config.init_from
    )
    taken: dict[str, Any] = {"params": {}, "batch_stats": {}, **unflatten_dict(merged)}
    average = copy_average(**taken) if fresh.average else {}
    state = fresh.replace(**taken, average=average)
    if told and not new and not {"mean", "fresh"} & {*chosen}:
        _check_agreement(model, state, ours, other, config)
    return state, other.record


def _channels_of(about: About) -> tuple[str, ...]:
    return experiment.input_channels(about.settings, about.info)


def check_origin(model: nn.Module, config: ConfigDict) -> None:
    """Refuses a run whose weights would mean something else in `model`.

    As far as that can be told without data.

    Raises:
        ValueError: naming what differs, the other run's value and ours.
    """
    about = restore.read_best(config.init_from).about
    other = restore.rebuild_parts(about)
    _check_encoder(model, other.model, config.init_from)
    if changed := different(model, other.model, other.shape):
        name, (ours, theirs) = next(iter(changed.items()))
        raise ValueError(
            f"config.init_from={config.init_from} was trained with {name}={theirs!r}, but "
            f"this config has {ours!r}; set config.model.options.{name} in the config to "
            f"{theirs!r}."
        )
    if config.init_channels != "fresh":
        _check_normalisation(about, config)


def _check_encoder(model: nn.Module, other: nn.Module, workdir: str) -> None:
    own, found = (encoder_weights.encoder_name(one) for one in (model, other))
    if own != found:
        raise ValueError(
            f"config.init_from={workdir} holds another architecture: its encoder is "
            f"{found}, this config's {own}. Use the same config.model."
        )


def _check_normalisation(about: About, config: ConfigDict) -> None:
    """Refuses kernels that were made for other intensities."""
    theirs = about.config["data"]["normalisation"]
    ours = config.data.normalisation.to_dict()
    if _complete(ours) != _complete(theirs):
        raise ValueError(
            f"config.init_from={config.init_from} was trained with "
            f"config.data.normalisation={theirs}, but this config has {ours}. Set it to "
            "theirs, or config.init_channels=fresh to start anew what reads the image."
        )


def _complete(options: Mapping[str, Any]) -> dict[str, Any]:
    """A normalisation with its defaults, which a newer version may have more of."""
    signature = inspect.signature(normalise.NORMALISATIONS[options["name"]])
    defaults = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty
    }
    return {**defaults, **options}


def different(
    model: nn.Module, other: nn.Module, shape: tuple[int, ...]
) -> dict[str, tuple[Any, Any]]:
    """Options, ours and theirs, with which the same weights would compute another thing.

    `shape` is of an image that `other` takes. Options that show in the shapes of weights
    are not among these, nor those that matter to training alone.
    """
    fields = (
        {field.name for field in dataclasses.fields(one)} for one in (model, other)
    )
    pairs = {
        name: (getattr(model, name), getattr(other, name))
        for name in sorted(set.intersection(*fields) - OURS)
    }
    return {
        name: pair
        for name, pair in pairs.items()
        if pair[0] != pair[1] and _matters(other, name, pair[0], shape)
    }


def _matters(other: Any, name: str, value: Any, shape: tuple[int, ...]) -> bool:
    """Whether the same weights compute another thing if an option is `value`."""
    changed = other.clone(**{name: value})
    try:
        shapes = channels.shapes_of(changed, shape)
    except ValueError:
        # An option with a value per level, say: the levels show in the shapes.
        return False
    if shapes != channels.shapes_of(other, shape):
        return False
    return _program(changed, shape) != _program(other, shape)


def _program(model: nn.Module, shape: tuple[int, ...]) -> str:
    """What the net computes outside of training, constants included; not compiled."""
    image = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    return jax.jit(model.apply).lower(variables, image).as_text()


def _sources(
    ours: tuple[str, ...], theirs: tuple[str, ...], config: ConfigDict
) -> channels.Sources:
    """Where each of our channels starts; raises ValueError with the config's keys."""
    try:
        return channels.sources(ours, theirs, config.init_channels)
    except ValueError as error:
        raise ValueError(f"config.init_from={config.init_from}: {error}") from error


def head_modules(model: Any, shape: tuple[int, ...]) -> set[str]:
    """The parts of a model that have weights of shapes that go by its outputs."""
    now = channels.shapes_of(model, shape)
    outputs = jax.tree.map(lambda count: count + 1, model.outputs)
    more = channels.shapes_of(model.clone(outputs=outputs), shape)
    return {path[1] for path, size in now.items() if more[path] != size}


def unfilled(
    own: Leaves, found: Leaves, heads: set[str], workdir: str, *, complete: bool
) -> set[Path]:
    """Our weights for which none of the same name and shape were found: those of a head.

    Parts named in `heads` may lack any, other parts none. With `complete` all that were
    found have to be ours too, but for heads. Raises ValueError otherwise.
    """
    new = {
        path
        for path, leaf in own.items()
        if path not in found or found[path].shape != leaf.shape
    }
    unused = {path for path in found if path not in own} if complete else set()
    if differ := sorted(path for path in new | unused if path[1] not in heads):
        raise ValueError(
            f"config.init_from={workdir} holds another architecture: {len(differ)} "
            f"weights differ, first {'/'.join(differ[0])}. Use the same config.model."
        )
    return new


def _tell_classes(new: set[str], task: Task, other: Task, workdir: str) -> None:
    """Logs which parts are new heads, and warns of one that is kept for other classes."""
    ours, theirs = (", ".join(jax.tree.leaves(one.classes)) for one in (task, other))
    if new:
        logging.info(
            "init_from %s: new head %s for %s; its own was for %s",
            workdir,
            ", ".join(sorted(new)),
            ours,
            theirs,
        )
    elif ours != theirs:
        logging.warning(
            "init_from %s: the head is kept, but its classes were %s and are %s now.",
            workdir,
            theirs,
            ours,
        )


def _check_agreement(
    model: nn.Module,
    state: TrainState,
    names: tuple[str, ...],
    other: Restored,
    config: ConfigDict,
) -> None:
    """Refuses or warns if channels in another place give other logits.

    Kernels are fitted to them, but a net may use its channels otherwise too.
    """
    theirs = _channels_of(other.record.about)
    size = tuple(config.data.patch or config.data.size)
    gap = disagreement(
        (model, state.variables, names),
        (other.parts.model, other.variables, theirs),
        size,
    )
    if gap > LARGEST and set(names) == set(theirs):
        raise ValueError(
            f"config.init_from={config.init_from} has the channels {', '.join(theirs)} "
            f"and this config {', '.join(names)}, but {config.model.name} does not only "
            "read them by kernels, so its weights mean something else here. "
            "config.init_channels=fresh starts anew what reads the image."
        )
    if gap > ROUNDING:
        logging.warning(
            "init_from %s: with other channels the net begins with other logits, by up to "
            "%.2f of their deviation; it does not only read them by kernels.",
            config.init_from,
            gap,
        )


Applied = tuple[Any, Any, tuple[str, ...]]  # a model, its variables, its channels


def disagreement(one: Applied, other: Applied, size: tuple[int, ...]) -> float:
    """Largest difference of logits for one image, in deviations of the other's, by head.

    The channels that only one of the two knows are 0 there.
    """
    rng = np.random.default_rng(0)
    planes = {name: rng.uniform(size=size) for name in sorted({*one[2]} & {*other[2]})}
    logits = []
    for model, variables, names in (one, other):
        seen = [planes[name] if name in planes else np.zeros(size) for name in names]
        image = np.stack(seen, axis=-1)[None].astype(np.float32)
        apply = parallel.on_one_device(model.clone(dtype=jnp.float32).apply)
        logits.append(jax.device_get(apply(jax.device_get(variables), image)))
    gaps = jax.tree.map(
        lambda own, others: np.abs(own - others).max() / max(others.std(), 1e-6),
        *logits,
    )
    return float(max(jax.tree.leaves(gaps)))
