"""A run, built from its config: data, model, compiled steps; nothing of it changes."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
from absl import logging
from flax import linen as nn
from ml_collections import ConfigDict

from brainseg_jax import parallel, registry, reports
from brainseg_jax.data import augment, memory, sources
from brainseg_jax.data import info as data_info
from brainseg_jax.data.order import Order
from brainseg_jax.inference import scoring
from brainseg_jax.runs import checks, experiment
from brainseg_jax.tasks.parts.task import Task
from brainseg_jax.training import freezing, objective, optimisers, steps


@dataclasses.dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to the last."""

    config: ConfigDict
    folder: pathlib.Path
    devices: parallel.Devices
    training: sources.Source
    validation: sources.Source
    order: Order
    model: nn.Module
    task: Task
    loss: objective.Loss
    frozen: frozenset[freezing.Path]
    optimizer: Any
    schedule: optimisers.Schedule
    resident: dict[str, Any]  # the training split on the devices; {} otherwise
    validation_resident: dict[str, Any]
    train_step: Callable
    refresh_step: Callable
    eval_step: Callable
    rng: jax.Array

    @property
    def total_steps(self) -> int:
        return self.order.epoch_end(self.config.epochs)

    @property
    def report(self) -> Any:
        """The module of brainseg_jax/reports for this task."""
        return registry.find(reports, self.task.name)

    @property
    def note(self) -> str:
        options = self.config.data
        return self.training.info.note(options.train, options.validation, options.test)


def prepare(config: ConfigDict, folder: pathlib.Path) -> Run:
    """Opens the data and builds everything that a config names."""
    checks.check(config)
    devices = parallel.local_devices(config.parallel.mode, config.batch_size)
    info = data_info.read(config.data.name, config.data.data_dir)
    evaluation = config.evaluation
    task = experiment.make_task(
        **config.task.to_dict(),
        classes=info.classes,
        labels=info.labels,
        painting=info.painting,
        threshold=evaluation.threshold,
    )
    load = functools.partial(
        sources.load,
        config.data.name,
        data_dir=config.data.data_dir,
        size=tuple(config.data.size),
        normalisation=config.data.normalisation.to_dict(),
        with_masks=task.uses_masks,
        only_tumour=config.data.only_tumour,
    )
    patch = tuple(config.data.patch)
    training = load(
        config.data.train,
        patch=patch,
        foreground_share=config.data.tumour_share,
        fill=config.augment.fill,
    )
    validation = load(config.data.validation, stored_masks=True)
    _check_patients(training, validation, config)
    registry.find(reports, task.name).check(
        training, validation, task, evaluation.metric
    )
    # Of patches, that share has tumour, wherever the examples come in the order.
    share = 0.0 if patch else config.data.tumour_share
    order = Order(training.tumour, config.batch_size, config.seed, share)
    remat = {"remat": True} if config.model.remat else {}
    model = experiment.make_model(
        config.model.name,
        {**config.model.options.to_dict(), **remat},
        outputs=task.outputs,
        dtype=config.compute_dtype,
        axis_name=devices.axis_name,
    )
    schedule = optimisers.make_schedule(
        **{
            key: config.schedule[key]
            for key in (
                "name",
                "rate",
                "warmup_steps",
                "final",
                "step_epochs",
                "factor",
                "decay",
            )
        },
        steps_per_epoch=len(training) / config.batch_size,
        total_steps=order.epoch_end(config.epochs),
    )
    shape = (1, *config.data.size, len(training.info.channels))
    experiment.check_model(model, task.name, shape, config.optimizer.encoder_rate)
    frozen = freezing.frozen_modules(
        model, shape, config.model.frozen, config.model.frozen_up_to
    )
    freezing.check(model, shape, frozen)
    optimizer = optimisers.make_optimizer(
        schedule, **config.optimizer.to_dict(), frozen=frozen
    )
    cache, reason = memory.choose_cache(
        config.data.cache,
        training.decoded_bytes + validation.decoded_bytes,
        devices.free_bytes(),
        memory.free_host_bytes(),
        resident=training.residable and validation.residable,
    )
    if reason:
        logging.warning("%s", reason)
    if cache != "none":
        training, validation = map(sources.decode, (training, validation))
    residents: list[dict[str, Any]] = [{}, {}]
    if cache == "device":
        residents = [devices.replicate(s.resident) for s in (training, validation)]
        jax.block_until_ready(residents)
        # The host's copies have served; on a CPU they would double the memory.
        training, validation = (
            dataclasses.replace(source, arrays={}) for source in (training, validation)
        )
    losses = config.losses.to_dict()
    loss = objective.make_loss(losses, task)
    return Run(
        config=config,
        folder=folder,
        devices=devices,
        training=training,
        validation=validation,
        order=order,
        model=model,
        task=task,
        loss=loss,
        frozen=frozen,
        optimizer=optimizer,
        schedule=schedule,
        resident=residents[0],
        validation_resident=residents[1],
        train_step=devices.train_step(
            functools.partial(
                steps.train_step,
                model=model,
                optimizer=optimizer,
                loss=loss,
                augment=functools.partial(
                    augment.augment, options=config.augment.to_dict()
                ),
                mean=devices.mean,
                average_decay=config.ema_decay,
                frozen=frozen,
            )
        ),
        refresh_step=devices.train_step(
            functools.partial(steps.refresh_step, model=model, frozen=frozen)
        ),
        eval_step=devices.eval_step(
            scoring.make_eval_step(model, task, losses, evaluation.mirror)
        ),
        rng=jax.random.key(config.seed),
    )


def _check_patients(
    training: sources.Source, validation: sources.Source, config: ConfigDict
) -> None:
    """Splits that share patients are refused unless their names say that they leak."""
    splits = (config.data.train, config.data.validation, config.data.test)
    if any(split in training.info.leaky for split in splits):
        return
    folds = [fold for split in splits for fold in split.split("+")]
    if len(set(folds)) < len(folds) or set(training.patients) & set(
        validation.patients
    ):
        raise ValueError(
            f"config.data.train={splits[0]}, validation={splits[1]} and "
            f"test={splits[2]} share patients; name different folds."
        )
