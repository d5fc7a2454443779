"""What a config names, built: model, task, loss; and the model of a checkpoint."""

import copy
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array
from ml_collections import ConfigDict

from brainseg_jax import (
    checkpoints,
    freeze,
    losses,
    model_options,
    models,
    normalise,
    optim,
    pretrained,
    registry,
    state,
    tasks,
)
from brainseg_jax.models import encoders


class Restored(NamedTuple):
    """A model with its weights and the record of the checkpoint they come from."""

    model: nn.Module
    task: tasks.Task
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


def resolve(config: ConfigDict, record: Mapping[str, Any] | None = None) -> ConfigDict:
    """The config with the model options that its encoder's published weights ask for.

    A run that goes on has them in its `record`, one that starts from another run's weights
    in that run's; neither needs the file.
    """
    source, resolved = config.model.encoder_weights, copy.deepcopy(config)
    if source:
        _check_source(config)
    if record is not None:
        asked = _asked(record)
    elif source:
        asked = pretrained.describe(encoder_of(config), source)
    elif config.init_from and _encoder_name(config) in encoders.ENCODERS:
        asked = _asked(restore(config.init_from).record)
    else:
        asked = {}
    fields = registry.find(models, config.model.name).Model.__dataclass_fields__
    options = resolved.model.options
    if record is None:
        _check_range(config, asked)
    with options.unlocked():
        for key, value in asked.items():
            if key not in options and key in fields:
                options[key] = value
            elif source and record is None and options[key] != value:
                raise ValueError(
                    f"config.model.options.{key} is {options[key]!r}, but the weights of "
                    f"config.model.encoder_weights={source} need {value!r}; leave it out."
                )
    return resolved


def _asked(record: Mapping[str, Any]) -> dict[str, str]:
    """What published weights asked of the model of an earlier run."""
    options = record["config"]["model"]["options"]
    return {name: options[name] for name in pretrained.ASKED if name in options}


def _check_range(config: ConfigDict, asked: Mapping[str, str]) -> None:
    """Refuses other intensities than a preprocessing of published weights is made for."""
    given = {"preprocessing": "none", **asked, **config.model.options.to_dict()}
    wanted, normalisation = given["preprocessing"], config.data.normalisation.name
    if wanted != "none" and normalisation not in normalise.ZERO_TO_ONE:
        raise ValueError(
            f"The encoder's preprocessing {wanted!r} expects images of 0 to 1, but "
            f"config.data.normalisation.name is {normalisation!r}; set it to "
            f"{' or '.join(normalise.ZERO_TO_ONE)}, best as in the run that the weights "
            "come from."
        )


def _check_source(config: ConfigDict) -> None:
    if config.init_from:
        raise ValueError(
            "config.init_from and config.model.encoder_weights both say where the "
            "encoder starts; leave one out."
        )
    if config.data.normalisation.name not in normalise.ZERO_TO_ONE:
        raise ValueError(
            "Published weights expect images of 0 to 1, but config.data.normalisation is "
            f"{config.data.normalisation.name!r}; set config.data.normalisation.name to "
            f"{' or '.join(normalise.ZERO_TO_ONE)} (the encoder then does what its "
            "weights were trained with)."
        )


def encoder_of(config: ConfigDict) -> str:
    """The architecture of a model's encoder; a classifier's is its own."""
    name = _encoder_name(config)
    if name not in encoders.ENCODERS:
        raise ValueError(
            f"{config.model.name} has no encoder of published weights; set "
            "config.model.options.encoder to one of "
            f"{', '.join(encoders.ENCODERS)}, or leave config.model.encoder_weights out."
        )
    return name


def _encoder_name(config: ConfigDict) -> str:
    options = config.model.options.to_dict()
    return encoder_name(
        make_model(config.model.name, options, outputs=1, dtype="float32")
    )


def encoder_name(model: nn.Module) -> str:
    """The architecture of the part that is called "encoder"; a plain one is its net's."""
    own = type(model).__module__.rpartition(".")[2]
    return getattr(model, "encoder", "") or own


def load_encoder(
    fresh: state.TrainState, architecture: str, source: str
) -> state.TrainState:
    """`fresh` with the published weights of its encoder."""
    trees = {
        name: tree[freeze.ENCODER]
        for name in ("params", "batch_stats")
        if freeze.ENCODER in (tree := getattr(fresh, name))
    }
    loaded = pretrained.load(architecture, source, trees)
    taken = {
        name: {**getattr(fresh, name), freeze.ENCODER: tree}
        for name, tree in loaded.items()
    }
    average = jax.tree.map(jnp.array, taken["params"]) if fresh.average else {}
    return fresh.replace(**taken, average=average)


def check_model(
    model: nn.Module, task: tasks.Task, shape: tuple[int, ...], encoder_rate: float
) -> None:
    """Refuses a model that does not fit its task, and a rate of an encoder it has not."""
    logits, variables = jax.eval_shape(
        model.init_with_output,
        jax.random.key(0),
        jax.ShapeDtypeStruct(shape, jnp.float32),
    )
    if (logits.ndim == 2) != (task.name == "classification"):
        makes = "classes of whole images" if logits.ndim == 2 else "masks"
        raise ValueError(
            f"config.task.name is {task.name!r}, but the model gives {makes}; choose "
            "another config.model.name or task."
        )
    if encoder_rate != 1 and freeze.ENCODER not in variables["params"]:
        raise ValueError(
            f"config.optimizer.encoder_rate is {encoder_rate}, but the model has no part "
            'called "encoder"; leave it at 1.'
        )


def make_loss(
    weighted: Mapping[str, Mapping[str, Any]], task: tasks.Task
) -> Callable[[Array, dict[str, Array]], tuple[Array, dict[str, Array]]]:
    """Sum of losses by weight; gives it and each term, per example.

    Of several heads (deep supervision), finest first, each counts half of the one before,
    all together one; the terms are the finest head's.
    """
    terms = []
    for name, settings in weighted.items():
        options = {
            key: tuple(v) if isinstance(v, list) else v
            for key, v in settings.items()
            if key != "weight"
        }
        terms.append(
            (name, settings["weight"], options, registry.find(losses, name).loss)
        )
    if not terms:
        raise ValueError(
            "config.losses is empty; give at least one loss a weight, "
            "e.g. config.losses.dice = dict(weight=1.0)."
        )

    def of_one(logits: Array, batch: dict[str, Array]) -> dict[str, Array]:
        target = task.target(batch)
        return {
            name: function(logits, target, exclusive=task.exclusive, **options)
            for name, _, options, function in terms
        }

    def loss(
        logits: Array | tuple[Array, ...], batch: dict[str, Array]
    ) -> tuple[Array, dict[str, Array]]:
        heads = logits if isinstance(logits, tuple) else (logits,)
        values = [of_one(head, _resized(batch, head)) for head in heads]
        total = sum(
            weight * share * of_head[name]
            for share, of_head in zip(_shares(len(heads)), values, strict=True)
            for name, weight, _, _ in terms
        )
        return total, values[0] if len(values[0]) > 1 else {}

    return loss


def _shares(heads: int) -> list[float]:
    """Each head counts half of the one before; together they count as one."""
    return [2.0 ** (heads - 1 - k) / (2**heads - 1) for k in range(heads)]


def _resized(batch: dict[str, Array], logits: Array) -> dict[str, Array]:
    """The batch with its mask at the size of some logits, by nearest neighbours."""
    if logits.ndim < 3 or batch["mask"].shape[1:-1] == logits.shape[1:-1]:
        return batch
    shape = (*logits.shape[:-1], 1)
    return {**batch, "mask": jax.image.resize(batch["mask"], shape, "nearest")}


def make_task(
    *,
    name: str,
    exclusive: bool,
    classes: Mapping[str, int],
    labels: Sequence[str],
    threshold: float,
) -> tasks.Task:
    """The task `name` on a data set with these classes in its masks and these labels."""
    options: Any = {"exclusive": exclusive, "threshold": threshold}
    if name == "segmentation":
        return tasks.segmentation(classes, **options)
    if name == "classification":
        return tasks.classification(labels, **options)
    raise ValueError(
        f"config.task.name is {name!r}; it can be {', '.join(tasks.NAMES)}."
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
    optimizer = optim.make_optimizer(
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
