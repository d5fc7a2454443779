"""What a config names, built: model, task, loss; and the model of a checkpoint."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from brainseg_jax import models, registry, tasks
from brainseg_jax.runs import checkpoints, model_options
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training import freezing, optimisers, state


class Restored(NamedTuple):
    """A model with its weights and the record of the checkpoint they come from."""

    model: nn.Module
    task: Task
    variables: dict[str, Any]
    record: dict[str, Any]

    @property
    def step(self) -> int:
        return self.record["step"]


def make_model(
    name: str,
    options: Mapping[str, Any],
    *,
    outputs: int,
    dtype: str,
    axis_name: str | None = None,
) -> nn.Module:
    """A model with `outputs` channels of logits, computing in `dtype`."""
    module = registry.find(models, name)
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    model_options.check(name, module.Model, fields)
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

    And a rate of an encoder that it does not have.
    """
    with model_options.naming_the_key():
        logits, variables = jax.eval_shape(
            model.init_with_output,
            jax.random.key(0),
            jax.ShapeDtypeStruct(shape, jnp.float32),
        )
    if (logits.ndim == 2) != (task == "classification"):
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


def make_task(
    *,
    name: str,
    exclusive: bool,
    classes: Mapping[str, int | Sequence[int]],
    labels: Sequence[str],
    threshold: float,
    painting: Sequence[tuple[str, int]] = (),
) -> Task:
    """The task `name` on a data set with these classes in its masks and these labels."""
    module = registry.find(tasks, name)
    if module.NAMED_BY == "labels":
        return module.make_task(labels, exclusive=exclusive, threshold=threshold)
    return module.make_task(
        classes, exclusive=exclusive, threshold=threshold, painting=painting
    )


def restore(workdir: str | pathlib.Path) -> Restored:
    """The best model of a run, from its checkpoints alone."""
    if not (pathlib.Path(workdir) / checkpoints.FOLDER).is_dir():
        raise FileNotFoundError(_NO_CHECKPOINT.format(workdir))
    with checkpoints.Checkpoints(workdir, read_only=True) as saved:
        if (best := saved.best) is None:
            raise FileNotFoundError(_NO_CHECKPOINT.format(workdir))
        record = saved.record(best)
        # The best checkpoint's own history ends where it was best.
        record["history"] = saved.record(saved.latest)["history"]
        config, data = record["config"], record["data"]
        if "task" not in config:
            raise ValueError(
                f"{workdir} was written by an older version of brainseg_jax, which knew "
                "no config.task; train anew, or use the commit in its config.json."
            )
        task = make_task(
            **config["task"],
            classes=data["classes"],
            labels=data["labels"],
            painting=data.get("painting", ()),
            threshold=config["evaluation"]["threshold"],
        )
        model = make_model(
            config["model"]["name"],
            config["model"]["options"],
            outputs=task.outputs,
            dtype=config["compute_dtype"],
        )
        shape = (1, *config["data"]["size"], len(data["channels"]))
        restored = saved.restore_variables(
            best, _abstract(model, shape, average=config["ema_decay"] > 0)
        )
    return Restored(model, task, restored.evaluated, record)


_NO_CHECKPOINT = (
    "{} holds no checkpoint; give the --workdir of a training that has finished at "
    "least one epoch."
)


def _abstract(model: nn.Module, shape: tuple[int, ...], *, average: bool):
    """A state of shapes alone, on this process's first device."""
    optimizer = optimisers.make_optimizer(
        lambda step: jnp.zeros(()),
        name="adam",
        b1=0.9,
        b2=0.999,
        eps=1e-8,
        weight_decay=0.0,
        clip=0.0,
    )
    shapes = jax.eval_shape(
        lambda rng: state.create_state(model, optimizer, rng, shape, average=average),
        jax.random.key(0),
    )
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device),
        shapes,
    )
