"""An experiment: the task, model and loss that a config makes of a data set."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from brainseg_jax import models, registry, tasks
from brainseg_jax.data import neighbours
from brainseg_jax.data.info import Info
from brainseg_jax.inference.windows import Windows
from brainseg_jax.models.parts.heads import Heads
from brainseg_jax.runs import model_options
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training import freezing, objective


class Parts(NamedTuple):
    """What a config makes of a data set's description: pure, with nothing opened."""

    task: Task
    model: nn.Module
    loss: objective.Loss
    shape: tuple[int, ...]  # of one image as the model takes it, [1, *space, c]


def make_parts(config: ConfigDict, info: Info, axis_name: str | None = None) -> Parts:
    """Task, model and loss of a config on such data.

    Batch normalisation in training spans the devices of `axis_name`.

    Raises:
        ValueError: naming the key that cannot be, and what it can be.
    """
    info = info.choosing(config.data.channels)
    task = task_of(config, info)
    _check_heads(config, task)
    options = config.model.options.to_dict()
    if config.model.remat:
        options["remat"] = True
    model = make_model(
        config.model.name,
        options,
        outputs=task.outputs,
        dtype=config.compute_dtype,
        axis_name=axis_name,
    )
    loss = loss_of(config, task)
    size = config.data.patch or config.data.size
    return Parts(task, model, loss, (1, *size, len(input_channels(config, info))))


def input_channels(config: ConfigDict, info: Info) -> tuple[str, ...]:
    """Names of what a model sees of data that have the channels of `info`."""
    return neighbours.names(info.channels, config.data.neighbours)


def windows_of(config: ConfigDict) -> Windows | None:
    """How examples are scored and predicted part by part; None: whole."""
    options = config.evaluation
    if not options.window:
        return None
    return Windows(
        tuple(options.window),
        options.overlap,
        options.window_batch,
        config.augment.fill,
    )


def windows_seen(config: ConfigDict) -> Windows | None:
    """The same; of volumes that are scored whole, windows as large as they were trained.

    Scans are of any size, and what a net was trained on is what it can see.
    """
    found = windows_of(config)
    if found or len(config.data.size) == 2:
        return found
    size = tuple(config.data.patch or config.data.size)
    return Windows(size, 0.5, 1, config.augment.fill)


def scored_size(config: ConfigDict) -> tuple[int, ...]:
    """What examples are resized to before they are scored; (): they keep their size."""
    return () if config.evaluation.window else tuple(config.data.size)


def task_of(config: ConfigDict, info: Info) -> Task:
    """The task of a config, on the classes of a data set that it is about."""
    module = registry.find(tasks, config.task.name)
    info = info.joined(config.task.foreground)
    of_masks = {"painting": info.painting, "targets": config.task.targets}
    return module.make_task(
        *(getattr(info, field) for field in module.NAMED_BY),
        exclusive=config.task.exclusive,
        threshold=config.evaluation.threshold,
        **(of_masks if "classes" in module.NAMED_BY else {}),
    )


def loss_of(config: ConfigDict, task: Task) -> objective.Loss:
    """The weighted losses of a config; of two heads each has its own, and all are added."""
    if task.heads is None:
        return objective.make_loss(config.losses.to_dict(), task)
    weighted = Heads(mask=config.losses.to_dict(), label=config.label_losses.to_dict())
    return objective.join(weighted.map(objective.make_loss, task.heads))


def make_model(
    name: str,
    options: Mapping[str, Any],
    *,
    outputs: int | Heads,
    dtype: str,
    axis_name: str | None = None,
) -> nn.Module:
    """A model with `outputs` channels of logits, computing in `dtype`.

    Raises:
        ValueError: if there is no such model, or an option cannot be what it is.
    """
    module = registry.find(models, name)
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    model_options.check_types(name, module.Model, fields)
    try:
        return module.Model(
            outputs=outputs, dtype=jnp.dtype(dtype), axis_name=axis_name, **fields
        )
    except TypeError as error:
        raise ValueError(f"config.model.options of {name}: {error}") from error


def check_model(
    model: nn.Module, task: str, shape: tuple[int, ...], encoder_rate: float
) -> None:
    """Refuses a model that does not fit its task or the `shape` [n, *space, c] of images.

    Also refuses an `encoder_rate` other than 1 if the model has no encoder.

    Raises:
        ValueError: saying what does not fit.
    """
    with model_options.naming_the_key():
        logits, variables = jax.eval_shape(
            model.init_with_output,
            jax.random.key(0),
            jax.ShapeDtypeStruct(shape, jnp.float32),
        )
    one = not isinstance(logits, Heads)
    if one and (logits.ndim == 2) != (task == "classification"):
        makes = "classes of whole images" if logits.ndim == 2 else "masks"
        raise ValueError(
            f"config.task.name is {task!r}, but the model gives {makes}; choose "
            "another config.model.name or task."
        )
    if encoder_rate != 1 and freezing.ENCODER not in variables["params"]:
        raise ValueError(
            f"config.optimizer.encoder_rate is {encoder_rate}, but the model has no part "
            'called "encoder"; leave it at 1.'
        )


def _check_heads(config: ConfigDict, task: Task) -> None:
    """Refuses a net of two heads for one task, and one of a single output for two."""
    module = registry.find(models, config.model.name)
    two_heads = module.Model.__dataclass_fields__["outputs"].type is Heads
    if two_heads != (task.heads is not None):
        gives = "masks and classes" if two_heads else "masks or classes, not both"
        raise ValueError(
            f"config.task.name is {task.name!r}, but config.model.name="
            f"{config.model.name} gives {gives}; choose another model or task."
        )
