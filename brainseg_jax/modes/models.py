"""Every model and every experiment with its parameters, operations and input size."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from brainseg_jax import models, registry
from brainseg_jax.benchmarks import cost
from brainseg_jax.data import info as data_info
from brainseg_jax.data.info import Info
from brainseg_jax.runs import experiment, model_options
from brainseg_jax.training import freezing
from brainseg_jax.training.state import count


class Size(NamedTuple):
    """How large a model is for one image of `shape` [*space, channels]."""

    name: str
    form: str  # what is published, or the model that an experiment trains
    shape: tuple[int, ...]
    total: int  # with the statistics of normalisations
    trainable: int
    gflop: float  # multiplications and additions of one forward pass, in 10 ** 9


Experiment = tuple[ConfigDict, Info]


def run(request: Any) -> None:
    """--mode=models."""
    show(
        {
            name: (config, data_info.described(**about))
            for name, (config, about) in request.experiments().items()
        }
    )


def show(experiments: Mapping[str, Experiment]) -> None:
    """Prints both tables; an experiment comes with the description of its data."""
    published = [
        (name, form)
        for name in registry.names(models)
        for form in registry.find(models, name).PUBLISHED
    ]
    of_models = [published_size(*pair) for pair in track(published, "models")]
    of_experiments = [
        experiment_size(name, *about)
        for name, about in track(experiments.items(), "experiments")
    ]
    for title, names, sizes in (
        ("Models as published", ("model", "form"), of_models),
        ("Experiments", ("config", "model"), of_experiments),
    ):
        table = _table(title, names, sizes)
        # As wide as it is: a name cut short could not be copied.
        width = Console(width=1000).measure(table).maximum
        Console(width=width).print(table)


def published_size(name: str, form: str) -> Size:
    module = registry.find(models, name)
    _, shape, outputs, options = module.PUBLISHED[form]
    return _size(name, form, module.Model(outputs, **options), shape)


def experiment_size(name: str, config: ConfigDict, info: Info) -> Size:
    parts = experiment.make_parts(config, info)
    model, shape = parts.model, parts.shape
    frozen = freezing.frozen_modules(
        model, shape, config.model.frozen, config.model.frozen_up_to
    )
    return _size(name, config.model.name, model, shape[1:], frozen)


def _size(
    name: str,
    form: str,
    model: nn.Module,
    shape: tuple[int, ...],
    frozen: frozenset[freezing.Path] = frozenset(),
) -> Size:
    """Counted from shapes alone: nothing is compiled or computed."""
    variables, gflop = _counted(model, shape)
    labels = jax.tree.leaves(freezing.labels(variables["params"], frozen))
    sizes = [leaf.size for leaf in jax.tree.leaves(variables["params"])]
    trainable = sum(
        size for size, label in zip(sizes, labels, strict=True) if label != "frozen"
    )
    return Size(name, form, shape, count(variables), trainable, gflop)


@functools.cache  # experiments share their models
def _counted(model: nn.Module, shape: tuple[int, ...]) -> tuple[Any, float]:
    """Shapes of a model's variables, and its operations."""
    image = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    with model_options.naming_the_key():
        variables = jax.eval_shape(model.init, jax.random.key(0), image)
    return variables, cost.gflop(model, variables, (1, *shape))


def _table(title: str, names: tuple[str, str], sizes: list[Size]) -> Table:
    table = Table(title=title, box=box.MARKDOWN)
    for column in (*names, "input"):
        table.add_column(column, no_wrap=True)
    for column in ("parameters", "trainable", "GFLOP"):
        table.add_column(column, justify="right", no_wrap=True)
    for size in sizes:
        table.add_row(
            size.name,
            size.form,
            "x".join(map(str, size.shape)),
            f"{size.total:,}",
            f"{size.trainable:,}",
            f"{size.gflop:.1f}",
        )
    return table
