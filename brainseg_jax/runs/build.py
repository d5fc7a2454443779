"""A run, built from its config: data, model, compiled steps; nothing of it changes."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import logging
from ml_collections import ConfigDict

from brainseg_jax import parallel, registry, reports
from brainseg_jax.data import augment, memory, reading, resident, sources
from brainseg_jax.data import info as data_info
from brainseg_jax.data.order import Order
from brainseg_jax.inference import folding, scoring
from brainseg_jax.runs import data_checks, experiment, opening
from brainseg_jax.runs.experiment import Parts
from brainseg_jax.training import freezing, optimisers, steps
from brainseg_jax.training.state import TrainState, create_state

INITIAL = 0xFFFFFFFF  # folded into the run's key for initial weights; no step's number


@dataclasses.dataclass(frozen=True)
class Run:
    """What stays the same from the first step of a run to the last."""

    config: ConfigDict
    folder: pathlib.Path
    devices: parallel.Devices
    training: sources.Source
    validation: sources.Source | None  # None: no epoch is chosen
    tested: frozenset[str]  # patients of the test split
    order: Order
    parts: Parts
    frozen: frozenset[freezing.Path]
    optimizer: Any
    schedule: optimisers.Schedule
    resident: dict[str, Any]  # the training split on the devices; {} otherwise
    validation_resident: dict[str, Any]
    train_step: Any  # a function, mapped over the devices or compiled
    refresh_step: Callable
    fold: Callable  # of the evaluated variables, for eval_step
    eval_step: Callable
    rng: jax.Array

    @property
    def total_steps(self) -> int:
        return self.order.epoch_end(self.config.epochs)

    @property
    def report(self) -> Any:
        """The module of brainseg_jax/reports for this task."""
        return registry.find(reports, self.parts.task.name)

    @property
    def note(self) -> str:
        options = self.config.data
        return self.training.info.note(options.train, options.validation, options.test)

    def fresh_state(self) -> TrainState:
        """Initial weights, on all devices."""
        return self.devices.replicate(self._initial_state())

    def compiled(self) -> "Run":
        """The same with its training step compiled, which then tells of its memory."""
        logging.info("compiling the training step")
        state = self.devices.abstract(jax.eval_shape(self._initial_state))
        batches = reading.training_batches(
            self.training, self.order, 0, 1, resident=bool(self.resident)
        )
        batch = self.devices.shard(next(batches))
        step = self.train_step.lower(state, self.resident, batch, self.rng)
        return dataclasses.replace(self, train_step=parallel.compiled(step))

    def _initial_state(self) -> TrainState:
        return create_state(
            self.parts.model,
            self.optimizer,
            jax.random.fold_in(self.rng, INITIAL),
            self.parts.shape,
            average=self.config.ema_decay > 0,
        )


def make_run(config: ConfigDict, folder: pathlib.Path) -> Run:
    """Opens the data and builds everything that a config names.

    Settings and model are checked before: see checks.py and preflight.py.

    Raises:
        FileNotFoundError: if the data set is not prepared, or by an older version.
        ValueError: if a setting does not fit the data or the devices, or a stored image is
            damaged.
    """
    devices = parallel.local_devices(config.parallel.mode, config.batch_size)
    info = data_info.read_info(config.data.name, config.data.data_dir)
    data_checks.check_splits(config, info)
    parts = experiment.make_parts(config, info, devices.axis_name)
    opened = opening.open_splits(config, parts.task)
    data_checks.check_patients(config, opened)
    training, validation = opened["train"], opened.get("validation")
    registry.find(reports, parts.task.name).check_examples(
        training, validation, parts.task, config.evaluation.metric
    )
    order = _make_order(config, training)
    schedule = _make_schedule(config, order)
    frozen = freezing.frozen_modules(
        parts.model, parts.shape, config.model.frozen, config.model.frozen_up_to
    )
    optimizer = optimisers.make_optimizer(
        schedule, **config.optimizer.to_dict(), frozen=frozen
    )
    training, validation, residents = _place(config, training, validation, devices)
    run = Run(
        config=config,
        folder=folder,
        devices=devices,
        training=training,
        validation=validation,
        tested=frozenset(opened["test"].patients if "test" in opened else ()),
        order=order,
        parts=parts,
        frozen=frozen,
        optimizer=optimizer,
        schedule=schedule,
        resident=residents[0],
        validation_resident=residents[1],
        **_map_steps(config, devices, parts, optimizer, frozen),
        rng=jax.random.key(config.seed),
    )
    return run.compiled()


def _make_order(config: ConfigDict, training: sources.Source) -> Order:
    # Of patches, the share shows tumour wherever their examples come in the order.
    share = 0.0 if config.data.patch else config.data.tumour_share
    return Order(training.tumour, config.batch_size, config.seed, share)


def _make_schedule(config: ConfigDict, order: Order) -> optimisers.Schedule:
    options = config.schedule
    cycle = options.cycle_epochs
    restarts = range(cycle, config.epochs, cycle) if cycle else ()
    return optimisers.make_schedule(
        name=options.name,
        rate=options.rate,
        warmup_steps=options.warmup_steps,
        final=options.final,
        step_epochs=options.step_epochs,
        factor=options.factor,
        decay=options.decay,
        steps_per_epoch=len(order.tumour) / config.batch_size,
        total_steps=order.epoch_end(config.epochs),
        restarts=[order.epoch_end(epoch) for epoch in restarts],
    )


def _place(
    config: ConfigDict,
    training: sources.Source,
    validation: sources.Source | None,
    devices: parallel.Devices,
) -> tuple[sources.Source, sources.Source | None, list[dict[str, Any]]]:
    """Both splits where config.data.cache says, or where there is room for them."""
    windowed = bool(config.evaluation.window)  # cut on the host, one after the other
    both = [training] if validation is None else [training, validation]
    kept = [training] if windowed else both
    cache, reason = memory.choose_cache(
        config.data.cache,
        sum(source.decoded_bytes for source in both),
        devices.free_bytes(),
        parallel.free_host_bytes(),
        resident=all(source.residable for source in kept),
        on_device=resident.bytes_of(*kept),
    )
    if reason:
        logging.warning("%s", reason)
    if cache != "none":
        both = [reading.keep_decoded(source) for source in both]
    if cache != "device":
        return *_two(both), [{}, {}]
    kept = both[: len(kept)]
    residents = [devices.replicate(resident.arrays_of(source)) for source in kept]
    jax.block_until_ready(residents)
    # The host's copies have served; on a CPU they would double the memory.
    both[: len(kept)] = [dataclasses.replace(source, arrays={}) for source in kept]
    return *_two(both), [*residents, {}][:2]


def _two(
    both: Sequence[sources.Source],
) -> tuple[sources.Source, sources.Source | None]:
    """Training and validation split; the second is None where there is none."""
    return both[0], both[1] if len(both) > 1 else None


def _map_steps(
    config: ConfigDict,
    devices: parallel.Devices,
    parts: Parts,
    optimizer: Any,
    frozen: frozenset[freezing.Path],
) -> dict[str, Callable]:
    """The steps of a run, spread over the devices."""
    train_step = functools.partial(
        steps.train_step,
        model=parts.model,
        optimizer=optimizer,
        loss=parts.loss,
        augment=functools.partial(augment.augment, options=config.augment.to_dict()),
        mean=devices.mean,
        average_decay=config.ema_decay,
        frozen=frozen,
        accumulate=config.accumulate,
        patch=config.data.patch,
    )
    refresh_step = functools.partial(
        steps.refresh_step, model=parts.model, frozen=frozen, patch=config.data.patch
    )
    eval_step = scoring.make_eval_step(
        parts.model,
        parts.task,
        parts.loss,
        config.evaluation.mirror,
        experiment.windows_of(config),
    )
    return {
        "train_step": devices.train_step(train_step),
        "refresh_step": devices.train_step(refresh_step),
        "fold": devices.on_all(folding.make_fold(parts.model, parts.shape)),
        "eval_step": devices.eval_step(eval_step),
    }
